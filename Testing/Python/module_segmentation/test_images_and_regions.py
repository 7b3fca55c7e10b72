"""What the panel chooses at first, and whether what it says about image and region stays true when they change."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def a_label_map(a_slicer):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Old labels")
    slicer.util.updateVolumeFromArray(node, np.ones((4, 4, 4), np.uint8))
    return node


@pytest.fixture
def a_sequence(a_slicer, make_volume_node):
    """Two visits, six months apart."""
    import slicer

    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "Visits")
    sequence.SetIndexName("visit")
    sequence.SetIndexUnit("month")
    for month in (0, 6):
        frame = make_volume_node(f"visit {month}", shape=(16, 18, 20))
        sequence.SetDataNodeAtValue(frame, str(month))
        slicer.mrmlScene.RemoveNode(frame)
    return sequence


def test_a_label_map_is_not_chosen_by_itself(a_label_map, a_panel):
    assert a_panel.widget._parameterNode.inputNode is None
    assert not a_panel.ui.applyButton.enabled


def test_an_image_is_chosen_although_a_label_map_came_first(a_label_map, an_mr_node, a_panel):
    assert a_panel.ui.inputSelector.currentNode() is an_mr_node


def test_the_image_that_the_slice_views_show_is_chosen_first(make_volume_node, a_slicer):
    import slicer

    make_volume_node("Loaded first")
    shown = make_volume_node("On the screen")
    slicer.app.applicationLogic().GetSelectionNode().SetActiveVolumeID(shown.GetID())
    panel = a_slicer.load_module(_module_file()).self()
    assert panel.ui.inputSelector.currentNode() is shown


def test_a_new_region_can_be_seen_in_the_middle_of_the_image(an_mr_node, a_panel):
    a_panel.choose(an_mr_node)
    region = a_panel.ui.regionSelector.addNode()
    a_panel.host.process_events()
    bounds = [0.0] * 6
    an_mr_node.GetRASBounds(bounds)
    middle = [(low + high) / 2 for low, high in zip(bounds[0::2], bounds[1::2], strict=True)]
    assert list(region.GetCenter()) == pytest.approx(middle)
    assert min(region.GetSize()) > 0
    assert region.GetDisplayNode() is not None
    assert a_panel.widget._parameterNode.region is region
    assert not a_panel.ui.warningLabel.visible


def test_what_is_said_about_a_region_follows_the_region(an_mr_node, a_panel):
    import slicer

    a_panel.choose(an_mr_node)
    region = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Here")
    a_panel.ui.regionSelector.setCurrentNode(region)
    a_panel.host.process_events()
    assert "has not been drawn yet" in a_panel.ui.warningLabel.text
    assert "cannot be segmented yet" in a_panel.ui.warningLabel.text
    bounds = [0.0] * 6
    an_mr_node.GetRASBounds(bounds)
    region.SetCenter([(bounds[0] + bounds[1]) / 2, (bounds[2] + bounds[3]) / 2, (bounds[4] + bounds[5]) / 2])
    region.SetSize(10, 10, 10)
    a_panel.host.process_events()
    assert not a_panel.ui.warningLabel.visible
    region.SetCenter([9000, 0, 0])
    a_panel.host.process_events()
    assert "lies outside" in a_panel.ui.warningLabel.text
    a_panel.ui.regionSelector.setCurrentNode(None)
    a_panel.host.process_events()
    assert not a_panel.ui.warningLabel.visible


def test_a_corrected_image_is_no_longer_warned_about(an_mr_node, a_panel):
    an_mr_node.SetSpacing(1, 0, 1)
    a_panel.choose(an_mr_node)
    assert "no thickness" in a_panel.ui.warningLabel.text
    an_mr_node.SetSpacing(1, 1, 1)
    a_panel.host.process_events()
    assert not a_panel.ui.warningLabel.visible


def test_what_was_said_about_one_image_is_not_left_standing_beside_another(an_mr_node, a_ct_node, a_panel):
    a_panel.choose(an_mr_node)
    a_panel.apply_and_wait()
    assert "Done" in a_panel.ui.stageLabel.text
    a_panel.choose(a_ct_node)
    assert not a_panel.ui.stageLabel.text
    assert "Head MR" in a_panel.ui.resultCollapsibleButton.text


def test_of_a_sequence_the_frames_are_named_and_a_single_segmentation_is_not_offered(a_sequence, a_panel):
    import slicer

    mine = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Mine")
    a_panel.choose(a_sequence)
    a_panel.ui.outputSelector.setCurrentNode(mine)
    a_panel.host.process_events()
    assert not a_panel.ui.outputSelector.enabled
    a_panel.apply_and_wait()
    assert a_panel.host.person.saw == []
    assert mine.GetSegmentation().GetNumberOfSegments() == 0
    told = a_panel.ui.resultLabel.text
    for text in ("Volume (mL)", "month", ">0</th>", ">6</th>"):
        assert text in told
    [result] = [n for n in slicer.util.getNodesByClass("vtkMRMLSequenceNode") if n is not a_sequence]
    assert result.GetName() == "Visits segmentation"


def test_a_script_that_wants_a_sequence_in_one_segmentation_is_told_why_not(a_slicer, a_sequence):
    import slicer
    from MedAISegmentationLib.logic import MedAISegmentationLogic

    from medai.errors import InputError

    mine = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Mine")
    with pytest.raises(InputError, match="whole sequence"):
        MedAISegmentationLogic().process(a_sequence, "tiny_blobs", outputSegmentation=mine)


def test_the_result_is_named_after_its_image_once(an_mr_node, a_panel):
    a_panel.choose(an_mr_node)
    a_panel.apply_and_wait()
    assert a_panel.segmentations()[0].GetName() == "Head MR segmentation"


def test_a_result_waits_while_the_scene_is_busy(an_mr_node, a_panel):
    import slicer

    a_panel.choose(an_mr_node)
    a_panel.press_apply()
    slicer.mrmlScene.StartState(slicer.vtkMRMLScene.BatchProcessState)
    try:
        a_panel.wait_until(lambda: a_panel.widget.job.run._running.done)
        a_panel.host.process_events(0.3)
        assert a_panel.running
    finally:
        slicer.mrmlScene.EndState(slicer.vtkMRMLScene.BatchProcessState)
    a_panel.wait_for_the_end()
    assert a_panel.host.person.saw == []
    assert len(a_panel.segmentations()) == 1


def test_of_a_long_sequence_the_panel_shows_the_first_frames_and_says_where_the_others_are(a_slicer):
    from MedAISegmentationLib import cards

    from medai.result import Provenance

    volumes = [(str(frame), {"Core": 1.0}) for frame in range(30)]
    card = cards.resultCard(volumes, Provenance("segment", "tiny_blobs"), "Frame")
    assert card.count("1.00</td>") == cards.MOST_FRAMES
    assert "All 30 frames" in card


def _module_file():
    from pathlib import Path

    return Path(__file__).resolve().parents[3] / "SlicerMedAI" / "MedAISegmentation" / "MedAISegmentation.py"
