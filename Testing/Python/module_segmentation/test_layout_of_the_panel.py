"""The panel in a narrow and in a high window: nothing pushes its edge about, nothing stretches, nothing is cut off."""

from __future__ import annotations

from dataclasses import replace

import pytest

NARROW = 400
"""Width in pixels that the panel may ask for: Slicer's panel takes as much from the views as it asks for."""

LONG = "Somebody et al., with many more authors than fit into one line. Annals of Very Long Titles 1 (2024). " * 3


@pytest.fixture
def a_model_with_much_to_say(a_slicer, tmp_path, make_bundle, monkeypatch):
    """Its name is one long word, and so is the name of a structure."""
    name = "hippocampus_of_the_left_and_of_the_right_hemisphere_in_many_parts"
    structures = ("Anterior_part_of_the_left_hippocampus_of_this_person", "The rest of it")
    make_bundle(tmp_path / "talkative" / name, "Talkative", structures=structures, citation=LONG)
    monkeypatch.setenv("MEDAI_MODELS", str(tmp_path / "talkative"))


def smallest_width(panel) -> int:
    panel.host.process_events(0.2)  # what is laid out anew tells its parent, and that its own
    return panel.representation.minimumSizeHint.width()


def test_the_panel_stays_as_narrow_as_it_was_when_a_long_result_arrives(
    a_model_with_much_to_say, an_mr_node, open_panel
):
    panel = open_panel()
    panel.ui.inputSelector.setCurrentNode(an_mr_node)
    panel.type_model("Talkative")
    panel.ui.advancedCollapsibleButton.collapsed = False
    before = smallest_width(panel)
    assert before <= NARROW
    panel.apply_and_wait()
    assert LONG[:50] in panel.ui.resultLabel.text
    assert panel.ui.resultLabel.visible
    assert smallest_width(panel) == before


@pytest.mark.parametrize(
    "name",
    ["noticeLabel", "modelInfoLabel", "warningLabel", "deviceReasonLabel", "stageLabel", "resultLabel"],
)
def test_long_texts_take_lines_and_not_width(an_mr_node, a_panel, name):
    a_panel.choose(an_mr_node)
    a_panel.ui.advancedCollapsibleButton.collapsed = False
    a_panel.ui.resultCollapsibleButton.visible = True
    label = getattr(a_panel.ui, name)
    label.visible = True
    before = smallest_width(a_panel)
    label.text = f"<table><tr><td>{'unbreakable' * 12}</td></tr></table>"
    assert smallest_width(a_panel) == before
    label.text = LONG
    assert smallest_width(a_panel) == before
    a_panel.host.process_events(5, until=lambda: label.height == label.heightForWidth(label.width))
    assert label.heightForWidth(300) > label.heightForWidth(600)


def test_a_high_window_leaves_its_room_below_the_panel_and_not_inside_it(an_mr_node, a_panel):
    a_panel.choose(an_mr_node)
    heights = []
    for room in (1000, 1400):
        a_panel.representation.setMinimumSize(480, room)
        a_panel.host.process_events()
        below = a_panel.ui.logCollapsibleButton
        heights.append((a_panel.ui.outputCollapsibleButton.height, below.y + below.height))
    assert heights[0] == heights[1]
    assert a_panel.ui.segmentListWidget.height == a_panel.ui.segmentListWidget.minimumHeight


def test_the_chosen_model_s_title_is_shown_from_its_beginning(an_mr_node, a_panel):
    line = a_panel.ui.modelComboBox.lineEdit()
    assert line.text
    assert line.cursorPosition == 0
    for type_and_choose in (
        lambda: a_panel.choose(an_mr_node, "tiny_blobs_in_many_windows"),
        lambda: a_panel.type_model("no such model"),
        lambda: a_panel.ui.modelComboBox.setCurrentIndex(0),
        lambda: setattr(a_panel.widget._parameterNode, "model", "tiny_blobs_in_many_windows"),
    ):
        type_and_choose()
        a_panel.host.process_events()
        assert line.text in [model.title for model in a_panel.widget.logic.models()]
        assert line.cursorPosition == 0


def test_the_title_is_shown_from_its_beginning_when_another_model_was_imported(an_mr_node, a_panel, monkeypatch):
    a_panel.choose(an_mr_node)
    first, *others = a_panel.widget.logic.models()
    monkeypatch.setattr(a_panel.widget.models, "_findModels", lambda: [replace(first, text="Another"), *others])
    a_panel.widget.models.refresh()
    assert a_panel.ui.modelComboBox.lineEdit().cursorPosition == 0


def test_what_a_person_is_typing_is_left_alone_while_something_else_changes(an_mr_node, a_ct_node, a_panel):
    a_panel.choose(an_mr_node)
    a_panel.type_model("slow", enter=False)
    a_panel.widget._parameterNode.inputNode = a_ct_node
    a_panel.host.process_events()
    assert a_panel.ui.modelComboBox.lineEdit().text == "slow"


def test_the_empty_search_line_says_in_plain_words_what_may_be_typed(a_panel):
    from PySide6.QtGui import Qt

    text = a_panel.ui.modelComboBox.lineEdit().placeholderText
    assert "name" in text
    assert "organ" in text
    assert not Qt.mightBeRichText(text)
    assert len(text) < 40
