"""Names of models, images and structures are somebody else's: shown as they are written, never as HTML."""

from __future__ import annotations

import re

import pytest

EVIL = "<img src=x><b>Fat</b> <a href='http://evil'>R&D</a>"
MARKUP = re.compile(r"<img|<b>Fat|<a href='http")


@pytest.fixture
def an_evil_panel(make_bundle, open_panel, make_volume_node, tmp_path, monkeypatch):
    """A panel with a model and an image whose every text is an attempt."""
    monkeypatch.setenv("MEDAI_MODELS", str(tmp_path / "models"))
    make_bundle(
        tmp_path / "models" / "evil", EVIL, structures=(f"{EVIL} 1", f"{EVIL} 2"), citation=EVIL, channels=(EVIL, "T2")
    )
    make_bundle(tmp_path / "models" / "hollow", f"{EVIL} hollow")
    (tmp_path / "models" / "hollow" / "configs" / "metadata.json").write_text("{")
    panel = open_panel()
    panel.image = make_volume_node(EVIL)
    panel.widget._parameterNode.model = "evil"
    panel.widget._parameterNode.inputNode = panel.image
    panel.host.process_events()
    return panel


def rich_texts(panel) -> str:
    """Everything on the panel that Qt reads as HTML, tool tips included."""
    import qt

    texts = []
    for widget in panel.representation.findChildren(qt.QWidget):
        texts.append(str(widget.toolTip))
        if isinstance(widget, qt.QLabel) and widget.textFormat != qt.Qt.PlainText:
            texts.append(str(widget.text))
    model = panel.ui.modelComboBox.model()
    texts += [model.item(row).toolTip() for row in range(model.rowCount())]
    return "\n".join(texts)


def test_nothing_that_a_model_says_becomes_markup(an_evil_panel):
    texts = rich_texts(an_evil_panel)
    assert "&lt;img src=x&gt;" in texts
    assert not MARKUP.search(texts)


def test_captions_of_further_images_are_plain(an_evil_panel):
    import qt

    an_evil_panel.widget.furtherInputs.show([EVIL], [])
    [(label, _selector)] = an_evil_panel.widget.furtherInputs._rows
    assert label.textFormat == qt.Qt.PlainText
    assert label.text == f"{EVIL}:"
    assert an_evil_panel.ui.inputLabel.textFormat == qt.Qt.PlainText


def test_the_result_and_its_title_show_names_as_they_are(an_evil_panel, make_volume_node):
    other = make_volume_node(f"{EVIL} other")
    an_evil_panel.widget._parameterNode.furtherInputs = [other]
    an_evil_panel.apply_and_wait()
    assert an_evil_panel.host.person.saw == []
    assert not MARKUP.search(rich_texts(an_evil_panel))
    assert "&lt;img src=x&gt;" in an_evil_panel.ui.resultLabel.text
    assert "R&&D" in an_evil_panel.ui.resultCollapsibleButton.text  # one ampersand, no shortcut


def test_an_error_names_the_image_as_it_is_written(an_evil_panel, make_volume_node, monkeypatch):
    import qt

    formats = []
    meets = an_evil_panel.host.person.meets
    monkeypatch.setattr(an_evil_panel.host.person, "meets", lambda box: formats.append(box.textFormat) or meets(box))
    other = make_volume_node("Flat")
    an_evil_panel.widget._parameterNode.furtherInputs = [other]
    import slicer

    slicer.util.arrayFromVolume(an_evil_panel.image)[:] = 7
    slicer.util.arrayFromVolumeModified(an_evil_panel.image)
    an_evil_panel.press_apply()
    an_evil_panel.wait_for_the_end()
    [shown] = an_evil_panel.host.person.saw
    assert EVIL in shown.text
    assert formats == [qt.Qt.PlainText]
    assert not MARKUP.search(rich_texts(an_evil_panel))
