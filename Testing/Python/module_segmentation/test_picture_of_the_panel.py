"""What the panel looks like. ``MEDAI_PANEL_PICTURE=file.png`` keeps the picture: see ``make panel-picture``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

WIDTH = 480


@pytest.fixture
def a_finished_panel(an_mr_node, a_panel):
    a_panel.choose(an_mr_node)
    a_panel.apply_and_wait()
    a_panel.ui.advancedCollapsibleButton.collapsed = False
    a_panel.host.process_events()
    return a_panel


def test_no_text_of_the_panel_is_clipped(a_finished_panel, tmp_path):
    import qt

    panel = a_finished_panel
    panel.representation.setMinimumWidth(WIDTH)
    panel.host.grab(panel.representation, tmp_path / "panel.png", WIDTH)
    panel.representation.resize(WIDTH, 1600)
    panel.host.process_events()
    for label in panel.representation.findChildren(qt.QLabel):
        if label.visible and label.text:
            needed = label.heightForWidth(label.width) if label.wordWrap else label.sizeHint.height()
            assert label.height >= needed, label.name
            assert label.wordWrap or label.width >= label.sizeHint.width(), label.name


def test_the_picture_shows_the_panel(a_finished_panel, tmp_path):
    from PySide6.QtGui import QImage

    path = Path(os.environ.get("MEDAI_PANEL_PICTURE") or tmp_path / "panel.png")
    a_finished_panel.host.grab(a_finished_panel.representation, path, WIDTH)
    picture = QImage(str(path))
    assert picture.width() >= WIDTH
    assert picture.height() > WIDTH
    colors = {picture.pixel(x, y) for x in range(0, picture.width(), 3) for y in range(0, picture.height(), 3)}
    assert len(colors) > 20
