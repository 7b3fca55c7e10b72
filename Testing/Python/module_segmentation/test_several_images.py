"""Models that look at several images at once: one selector for each, by the name that the model gives it."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def two_images(make_volume_node):
    import slicer

    nodes = make_volume_node("Patient T1"), make_volume_node("Patient FLAIR")
    voxels = slicer.util.arrayFromVolume(nodes[1])
    voxels[:] = voxels[::-1].copy()
    return nodes


@pytest.fixture
def a_panel_for_two(two_images, make_bundle, open_panel, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDAI_HOME", str(tmp_path))
    make_bundle(tmp_path / "models" / "tumour", "Tumour", channels=("T1", "FLAIR"))
    panel = open_panel()
    panel.widget._parameterNode.inputNode = two_images[0]
    panel.widget._parameterNode.model = "tumour"
    panel.host.process_events()
    return panel


def test_every_image_has_a_selector_by_its_name(a_panel_for_two):
    assert a_panel_for_two.ui.inputLabel.text == "T1:"
    [(label, selector)] = a_panel_for_two.widget.furtherInputs._rows
    assert label.text == "FLAIR:"
    assert label.visible
    assert selector.visible


def test_apply_waits_for_every_image_and_names_the_missing_one(a_panel_for_two, two_images):
    assert not a_panel_for_two.ui.applyButton.enabled
    assert "FLAIR" in a_panel_for_two.ui.applyButton.toolTip
    [selector] = a_panel_for_two.widget.furtherInputs.selectors()
    selector.setCurrentNode(two_images[1])
    assert a_panel_for_two.ui.applyButton.enabled
    assert not a_panel_for_two.ui.warningLabel.visible


def test_the_result_is_that_of_the_images_in_the_models_order(a_panel_for_two, two_images):
    from vtkmodules.util.numpy_support import vtk_to_numpy

    import medai

    [selector] = a_panel_for_two.widget.furtherInputs.selectors()
    selector.setCurrentNode(two_images[1])
    a_panel_for_two.apply_and_wait()
    [node] = a_panel_for_two.segmentations()
    image = node.GetSegmentation().GetNthSegment(0).GetRepresentation("Binary labelmap")
    found = vtk_to_numpy(image.GetPointData().GetScalars())
    volumes = [medai.mrml.volume_from_node(two_images[n]) for n in (0, 1)]
    expected = medai.segment(volumes, "tumour").labelmap.array
    assert np.array_equal(found, expected.ravel())
    assert not np.array_equal(expected, medai.segment(volumes[::-1], "tumour").labelmap.array)


def test_the_same_image_is_not_taken_twice(a_panel_for_two, two_images):
    [selector] = a_panel_for_two.widget.furtherInputs.selectors()
    selector.setCurrentNode(two_images[0])
    assert not a_panel_for_two.ui.applyButton.enabled
    assert "twice" in a_panel_for_two.ui.applyButton.toolTip


def test_a_model_of_one_image_hides_the_other_selectors(a_panel_for_two):
    a_panel_for_two.widget._parameterNode.model = "tiny_blobs"
    a_panel_for_two.host.process_events()
    [(label, selector)] = a_panel_for_two.widget.furtherInputs._rows
    assert not label.visible
    assert not selector.visible
    assert a_panel_for_two.ui.inputLabel.text == "Image:"
    assert a_panel_for_two.ui.applyButton.enabled


def test_the_choice_of_further_images_comes_back_with_the_scene(a_panel_for_two, two_images, tmp_path):
    [selector] = a_panel_for_two.widget.furtherInputs.selectors()
    selector.setCurrentNode(two_images[1])
    for node in two_images:
        node.AddDefaultStorageNode()
        node.GetStorageNode().SetFileName(str(tmp_path / f"{node.GetID()}.nrrd"))
        assert node.GetStorageNode().WriteData(node)
    a_panel_for_two.host.save_and_reload_scene(tmp_path / "two.mrb")
    [selector] = a_panel_for_two.widget.furtherInputs.selectors()
    assert selector.currentNode().GetName() == "Patient FLAIR"
    assert a_panel_for_two.ui.inputSelector.currentNode().GetName() == "Patient T1"
    assert a_panel_for_two.ui.applyButton.enabled


def test_removing_one_of_the_images_during_the_job_cancels_it(a_panel_for_two, two_images):
    [selector] = a_panel_for_two.widget.furtherInputs.selectors()
    selector.setCurrentNode(two_images[1])
    a_panel_for_two.press_apply()
    a_panel_for_two.host.scene.RemoveNode(two_images[1])
    a_panel_for_two.wait_for_the_end()
    assert a_panel_for_two.segmentations() == []
    assert not a_panel_for_two.ui.applyButton.enabled


def test_the_console_takes_a_list_of_nodes(a_panel_for_two, two_images):
    from MedAISegmentation import MedAISegmentationLogic

    node = MedAISegmentationLogic().process(list(two_images), "tumour")
    assert node.GetSegmentation().GetNumberOfSegments() == 2


def test_a_colour_image_is_one_image(a_slicer):
    from pathlib import Path

    from MedAISegmentationLib.inputs import imagesOf

    from medai.bundles.description import Description, Input

    assert imagesOf(Description("x", Path(), inputs=(Input("image", 3, kind="image RGB"),))) == ["Image"]
    assert len(imagesOf(Description("x", Path(), inputs=(Input("image", 4),)))) == 4
