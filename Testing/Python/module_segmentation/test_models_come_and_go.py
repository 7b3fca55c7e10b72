"""The list of models: what cannot be used is there with its reason, what is imported appears by itself."""

from __future__ import annotations

import pytest


@pytest.fixture
def an_own_folder(a_slicer, tmp_path, monkeypatch):
    """Where imported models go."""
    monkeypatch.setenv("MEDAI_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "models"


def entry(panel, title: str):
    """The entry of the list that begins with a title, or None."""
    list_ = panel.ui.modelComboBox.model()
    items = [list_.item(row) for row in range(list_.rowCount())]
    return next((item for item in items if item.text().startswith(title)), None)


def turn_to_the_list(panel) -> None:
    """Press the mouse on the combo box, as a person who wants to see the list."""
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    QTest.mouseClick(panel.ui.modelComboBox.lineEdit(), Qt.MouseButton.LeftButton)
    panel.host.process_events()


def test_an_imported_model_appears_when_a_person_turns_to_the_list(an_mr_node, a_panel, an_own_folder, make_bundle):
    from medai.bundles.library import import_bundle

    a_panel.choose(an_mr_node)
    make_bundle(an_own_folder.parent / "came_by_mail", "Came by mail")
    import_bundle(an_own_folder.parent / "came_by_mail", "mailed")
    assert entry(a_panel, "Came by mail") is None
    turn_to_the_list(a_panel)
    assert entry(a_panel, "Came by mail").isEnabled()
    assert a_panel.ui.modelComboBox.currentText == "Tiny blobs"
    assert a_panel.widget._parameterNode.model == "tiny_blobs"


def test_an_imported_model_is_there_when_the_module_is_entered_again(a_panel, an_own_folder, make_bundle):
    a_panel.host.leave_module()
    make_bundle(an_own_folder / "mailed", "Came by mail")
    a_panel.host.select_module("MedAISegmentation")
    assert entry(a_panel, "Came by mail") is not None


def test_a_model_without_weights_is_listed_but_cannot_be_picked(a_panel, an_own_folder, make_bundle):
    make_bundle(an_own_folder / "hollow", "Hollow")
    (an_own_folder / "hollow" / "models" / "model.pt").unlink()
    turn_to_the_list(a_panel)
    item = entry(a_panel, "Hollow")
    assert not item.isEnabled()
    assert "cannot be used" in item.text()
    assert "weights" in item.toolTip()


def test_a_bundle_that_cannot_be_read_is_listed_with_the_reason(a_panel, an_own_folder, make_bundle):
    make_bundle(an_own_folder / "scrambled", "Scrambled")
    (an_own_folder / "scrambled" / "configs" / "metadata.json").write_text("{ not json")
    turn_to_the_list(a_panel)
    item = entry(a_panel, "scrambled")
    assert not item.isEnabled()
    assert "metadata.json" in item.toolTip()


def test_a_scene_made_with_a_model_that_no_longer_works_says_why(an_mr_node, a_panel, an_own_folder, make_bundle):
    make_bundle(an_own_folder / "hollow", "Hollow")
    (an_own_folder / "hollow" / "models" / "model.pt").unlink()
    turn_to_the_list(a_panel)
    a_panel.widget._parameterNode.model = "hollow"
    a_panel.host.process_events()
    assert "'Hollow' cannot be used" in a_panel.ui.modelInfoLabel.text.replace("&#x27;", "'")
    assert "weights" in a_panel.ui.modelInfoLabel.text
    assert not a_panel.ui.applyButton.enabled
    assert "weights" in a_panel.ui.applyButton.toolTip


def test_a_model_with_a_problem_is_never_the_first_choice(an_mr_node, a_slicer, an_own_folder, make_bundle, open_panel):
    make_bundle(an_own_folder / "aaa_hollow", "Aaa hollow")
    (an_own_folder / "aaa_hollow" / "models" / "model.pt").unlink()
    panel = open_panel()
    assert entry(panel, "Aaa hollow") is not None
    assert panel.widget._parameterNode.model not in ("", "aaa_hollow")
    assert panel.ui.applyButton.enabled
