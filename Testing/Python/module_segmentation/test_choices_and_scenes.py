"""Choices belong to the scene: saved with it, restored from it, never shared by accident."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("name", ["choices.mrb", "choices.mrml"])
def test_choices_come_back_with_a_saved_scene(an_mr_node, a_ct_node, a_panel, tmp_path, name):
    import qt
    import slicer

    from MedAISegmentation import Backend, Device

    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Here")
    a_panel.choose(a_ct_node, "tiny_blobs_in_many_windows")
    a_panel.ui.regionSelector.setCurrentNode(roi)
    a_panel.ui.segmentListWidget.item(1).setCheckState(qt.Qt.Unchecked)
    a_panel.ui.deviceComboBox.setCurrentIndex(1)
    a_panel.ui.backendComboBox.setCurrentIndex(2)
    a_panel.ui.ttaCheckBox.setChecked(True)
    a_panel.ui.show3DCheckBox.setChecked(False)
    for node in (an_mr_node, a_ct_node):
        node.AddDefaultStorageNode()
        node.GetStorageNode().SetFileName(str(tmp_path / f"{node.GetID()}.nrrd"))
        assert node.GetStorageNode().WriteData(node)
    a_panel.host.save_and_reload_scene(tmp_path / name)
    ui = a_panel.ui
    assert ui.inputSelector.currentNode().GetName() == "Chest CT"
    assert ui.modelComboBox.currentText == "Tiny blobs, slowly"
    assert ui.regionSelector.currentNode().GetName() == "Here"
    assert ui.segmentListWidget.item(0).checkState() == qt.Qt.Checked
    assert ui.segmentListWidget.item(1).checkState() == qt.Qt.Unchecked
    assert ui.deviceComboBox.currentText == "Processor (CPU)"
    assert not ui.show3DCheckBox.checked
    assert ui.backendComboBox.currentText == "OpenVINO"
    assert ui.ttaCheckBox.checked
    parameters = a_panel.widget._parameterNode
    assert (parameters.device, parameters.backend, parameters.tta) == (Device.CPU, Backend.OPENVINO, True)
    assert ui.warningLabel.visible


def test_a_new_scene_starts_with_the_usual_choices(an_mr_node, a_panel):
    a_panel.choose(an_mr_node, "tiny_blobs_in_many_windows")
    a_panel.ui.show3DCheckBox.setChecked(False)
    a_panel.host.close_scene()
    parameters = a_panel.widget._parameterNode
    assert parameters.inputNode is None
    assert parameters.show3D
    assert list(parameters.excludedSegments) == []
    assert parameters.model != "tiny_blobs_in_many_windows"


def test_a_scene_made_with_a_model_that_is_not_here_says_so(an_mr_node, a_panel):
    a_panel.widget._parameterNode.model = "liver_of_somebody_else"
    a_panel.host.process_events()
    assert "liver_of_somebody_else" in a_panel.ui.modelInfoLabel.text
    assert "not installed here" in a_panel.ui.modelInfoLabel.text
    assert not a_panel.ui.applyButton.enabled


def test_a_change_from_a_script_is_seen_in_the_panel(an_mr_node, a_ct_node, a_panel):
    parameters = a_panel.widget.logic.getParameterNode()
    parameters.inputNode = a_ct_node
    parameters.model = "tiny_blobs_in_many_windows"
    parameters.excludedSegments = ["Core"]
    a_panel.host.process_events()
    assert a_panel.ui.inputSelector.currentNode() is a_ct_node
    assert a_panel.ui.modelComboBox.currentText == "Tiny blobs, slowly"
    assert a_panel.widget.segments.excluded() == ["Core"]


def test_leaving_and_entering_the_module_keeps_choices_and_connections(an_mr_node, a_panel):
    a_panel.choose(an_mr_node, "tiny_blobs_in_many_windows")
    a_panel.host.leave_module()
    a_panel.host.select_module("MedAISegmentation")
    assert a_panel.ui.modelComboBox.currentText == "Tiny blobs, slowly"
    a_panel.ui.show3DCheckBox.setChecked(False)
    assert not a_panel.widget._parameterNode.show3D


def test_a_removed_image_is_no_longer_chosen(an_mr_node, a_panel):
    a_panel.host.scene.RemoveNode(an_mr_node)
    a_panel.host.process_events()
    assert a_panel.widget._parameterNode.inputNode is None
    assert not a_panel.ui.applyButton.enabled
