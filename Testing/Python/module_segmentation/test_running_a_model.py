"""The panel as a person uses it, with a real model in the real worker process."""

from __future__ import annotations

import numpy as np
import pytest


def voxels_by_name(segmentation_node) -> dict[str, int]:
    """Number of voxels of each segment, counted in the node itself."""
    from vtkmodules.util.numpy_support import vtk_to_numpy

    segmentation = segmentation_node.GetSegmentation()
    counts = {}
    for index in range(segmentation.GetNumberOfSegments()):
        segment = segmentation.GetNthSegment(index)
        scalars = segment.GetRepresentation("Binary labelmap").GetPointData().GetScalars()
        values = vtk_to_numpy(scalars) if scalars is not None else np.zeros(0)
        counts[segment.GetName()] = int((values == segment.GetLabelValue()).sum())
    return counts


def node_ids(scene) -> set[str]:
    return {scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())}


def test_apply_brings_the_segments_into_the_scene(an_mr_node, a_panel):
    a_panel.choose(an_mr_node)
    a_panel.apply_and_wait()
    [node] = a_panel.segmentations()
    counts = voxels_by_name(node)
    assert set(counts) == {"Core", "Rim"}
    assert sum(counts.values()) > 100
    assert node.GetAttribute("MedAI.Bundle") == "tiny_blobs"
    assert a_panel.host.person.saw == []


def test_the_summary_tells_volumes_in_ml_that_match_the_voxels_and_the_citation(an_mr_node, a_panel):
    import re

    import vtk

    a_panel.choose(an_mr_node)
    a_panel.apply_and_wait()
    matrix = vtk.vtkMatrix4x4()
    an_mr_node.GetIJKToRASMatrix(matrix)
    voxel_ml = abs(matrix.Determinant()) / 1000
    summary = a_panel.ui.resultLabel.text
    assert a_panel.ui.resultCollapsibleButton.visible
    assert "Journal of Random Weights" in summary
    assert "mL" in summary
    for name, count in voxels_by_name(a_panel.segmentations()[0]).items():
        told = float(re.search(rf"<td>{name}</td><td[^>]*>([\d.]+)</td>", summary).group(1))
        assert told == pytest.approx(count * voxel_ml, abs=0.006)


def test_the_log_under_the_fold_tells_stages_device_and_licence(an_mr_node, a_panel):
    a_panel.choose(an_mr_node)
    a_panel.apply_and_wait()
    assert "tiny_blobs on 'Head MR'" in a_panel.log
    assert "Segmenting" in a_panel.log
    assert "CPU" in a_panel.log
    assert "CC0" in a_panel.log
    assert a_panel.ui.logCollapsibleButton.collapsed


def test_the_window_lives_and_progress_moves_while_a_model_runs(an_mr_node, a_panel):
    import qt

    ticks, stages, fractions = [], set(), []
    timer = qt.QTimer()
    timer.setInterval(20)

    def look():
        ticks.append(1)
        if a_panel.running and a_panel.ui.progressBar.maximum:
            stages.add(a_panel.ui.stageLabel.text)
            fractions.append(a_panel.ui.progressBar.value / a_panel.ui.progressBar.maximum)

    timer.connect("timeout()", look)
    timer.start()
    a_panel.choose(an_mr_node, "tiny_blobs_in_many_windows")
    a_panel.press_apply()
    # The time left is told once it is known well enough.
    a_panel.wait_until(lambda: len({f for f in fractions if f > 0}) > 5 and any("left" in stage for stage in stages))
    timer.stop()
    assert len(ticks) > 10
    assert fractions == sorted(fractions)
    assert any("Segmenting" in stage and "left" in stage for stage in stages)
    a_panel.press_apply()  # Cancel


def test_apply_becomes_cancel_and_cancel_leaves_the_scene_as_it_was(an_mr_node, a_panel):
    a_panel.choose(an_mr_node, "tiny_blobs_in_many_windows")
    before = node_ids(a_panel.host.scene)
    a_panel.press_apply()
    assert a_panel.ui.applyButton.text == "Cancel"
    a_panel.wait_until(lambda: a_panel.ui.progressBar.value > 0)
    a_panel.press_apply()
    assert a_panel.ui.applyButton.text == "Apply"
    assert a_panel.ui.applyButton.enabled
    assert not a_panel.ui.progressBar.visible
    assert "Cancelled" in a_panel.ui.stageLabel.text
    a_panel.host.process_events(1.0)
    assert node_ids(a_panel.host.scene) == before
    assert a_panel.host.person.saw == []


def test_apply_works_again_after_a_cancel(an_mr_node, a_panel):
    a_panel.choose(an_mr_node, "tiny_blobs_in_many_windows")
    a_panel.press_apply()
    a_panel.press_apply()
    a_panel.choose(an_mr_node)
    a_panel.apply_and_wait()
    assert len(a_panel.segmentations()) == 1


def test_every_apply_makes_a_new_segmentation(an_mr_node, a_panel):
    a_panel.choose(an_mr_node)
    a_panel.apply_and_wait()
    a_panel.apply_and_wait()
    first, second = a_panel.segmentations()
    assert voxels_by_name(first) == voxels_by_name(second)


def test_closing_the_scene_cancels_and_the_panel_starts_afresh(an_mr_node, a_panel):
    a_panel.choose(an_mr_node, "tiny_blobs_in_many_windows")
    a_panel.press_apply()
    a_panel.wait_until(lambda: a_panel.ui.progressBar.value > 0)
    a_panel.host.close_scene()
    assert not a_panel.running
    assert not a_panel.ui.applyButton.enabled
    a_panel.host.process_events(1.0)
    assert a_panel.segmentations() == []
    assert a_panel.host.person.saw == []


def test_a_new_scene_works_after_one_was_closed_during_a_job(an_mr_node, a_panel, make_volume_node):
    a_panel.choose(an_mr_node, "tiny_blobs_in_many_windows")
    a_panel.press_apply()
    a_panel.host.close_scene()
    a_panel.choose(make_volume_node("Another head"))
    a_panel.apply_and_wait()
    assert len(a_panel.segmentations()) == 1


def test_removing_the_image_during_a_job_cancels_it(an_mr_node, a_panel):
    a_panel.choose(an_mr_node, "tiny_blobs_in_many_windows")
    a_panel.press_apply()
    a_panel.wait_until(lambda: a_panel.ui.progressBar.value > 0)
    a_panel.host.scene.RemoveNode(an_mr_node)
    a_panel.wait_for_the_end()
    assert "no longer in the scene" in a_panel.ui.stageLabel.text
    a_panel.host.process_events(0.5)
    assert a_panel.segmentations() == []


def test_removing_the_output_during_a_job_gives_a_new_one(an_mr_node, a_panel):
    import slicer

    output = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Mine")
    a_panel.choose(an_mr_node)
    a_panel.ui.outputSelector.setCurrentNode(output)
    a_panel.press_apply()
    a_panel.host.scene.RemoveNode(output)
    a_panel.wait_for_the_end()
    assert len(a_panel.segmentations()) == 1


def test_an_existing_segmentation_keeps_its_own_segments(an_mr_node, a_panel):
    import slicer

    output = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Mine")
    output.GetSegmentation().AddEmptySegment("mine", "Drawn by hand")
    a_panel.choose(an_mr_node)
    a_panel.ui.outputSelector.setCurrentNode(output)
    a_panel.apply_and_wait()
    assert a_panel.segmentations() == [output]
    assert set(voxels_by_name(output)) == {"Drawn by hand", "Core", "Rim"}


def test_only_checked_structures_are_kept(an_mr_node, a_panel):
    import qt

    a_panel.choose(an_mr_node)
    a_panel.ui.segmentListWidget.item(0).setCheckState(qt.Qt.Unchecked)
    a_panel.apply_and_wait()
    assert set(voxels_by_name(a_panel.segmentations()[0])) == {"Rim"}


def test_a_region_limits_the_work(an_mr_node, a_panel):
    import slicer

    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Here")
    bounds = [0.0] * 6
    an_mr_node.GetRASBounds(bounds)
    roi.SetCenter(*((bounds[2 * axis] + bounds[2 * axis + 1]) / 2 for axis in range(3)))
    roi.SetSize(16, 16, 16)
    a_panel.choose(an_mr_node)
    a_panel.apply_and_wait()
    a_panel.ui.regionSelector.setCurrentNode(roi)
    a_panel.apply_and_wait()
    whole, part = (sum(voxels_by_name(node).values()) for node in a_panel.segmentations())
    assert 0 < part < whole / 2


def test_with_a_region_outside_of_the_image_apply_waits_until_it_is_moved(an_mr_node, a_panel):
    import slicer

    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Elsewhere")
    roi.SetCenter(5000, 0, 0)
    roi.SetSize(16, 16, 16)
    a_panel.choose(an_mr_node)
    assert a_panel.ui.applyButton.enabled
    a_panel.ui.regionSelector.setCurrentNode(roi)
    a_panel.host.process_events()
    assert not a_panel.ui.applyButton.enabled
    for said in (a_panel.ui.applyButton.toolTip, a_panel.ui.warningLabel.text):
        assert "outside the image" in said
        assert "Move the region" in said
    bounds = [0.0] * 6
    an_mr_node.GetRASBounds(bounds)
    roi.SetCenter(*((bounds[2 * axis] + bounds[2 * axis + 1]) / 2 for axis in range(3)))
    a_panel.host.process_events()
    assert a_panel.ui.applyButton.enabled


def test_a_model_whose_weights_are_damaged_is_explained_and_the_next_one_works(an_mr_node, a_panel):
    a_panel.choose(an_mr_node, "tiny_blobs_without_weights")
    a_panel.press_apply()
    a_panel.wait_for_the_end()
    [shown] = a_panel.host.person.saw
    assert shown.kind == "critical"
    assert "Traceback" not in shown.text + shown.details
    assert a_panel.segmentations() == []
    a_panel.choose(an_mr_node)
    a_panel.apply_and_wait()
    assert len(a_panel.segmentations()) == 1


def test_show_3d_makes_surfaces_and_can_be_switched_afterwards(an_mr_node, a_panel):
    a_panel.choose(an_mr_node)
    a_panel.ui.show3DCheckBox.setChecked(False)
    a_panel.apply_and_wait()
    [node] = a_panel.segmentations()
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")
    a_panel.ui.show3DCheckBox.setChecked(True)
    a_panel.wait_until(lambda: node.GetSegmentation().ContainsRepresentation("Closed surface"))
    assert node.GetDisplayNode().GetVisibility3D()
    a_panel.ui.show3DCheckBox.setChecked(False)
    a_panel.host.process_events()
    assert not node.GetDisplayNode().GetVisibility3D()


def test_of_a_sequence_every_frame_is_segmented(a_slicer, a_panel, make_volume_node):
    import slicer

    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "Beating")
    for number in range(3):
        frame = make_volume_node(f"frame {number}", shape=(16, 18, 20))
        sequence.SetDataNodeAtValue(frame, str(number))
        slicer.mrmlScene.RemoveNode(frame)
    a_panel.choose(sequence)
    a_panel.apply_and_wait()
    assert a_panel.host.person.saw == []
    sequences = [a_panel.host.scene.GetNthNodeByClass(i, "vtkMRMLSequenceNode") for i in range(2)]
    [result] = [node for node in sequences if node is not sequence]
    assert result.GetNumberOfDataNodes() == 3
    assert "Core" in a_panel.ui.resultLabel.text


def test_the_job_goes_on_while_another_module_is_open(an_mr_node, a_panel):
    a_panel.choose(an_mr_node)
    a_panel.press_apply()
    a_panel.host.leave_module()
    a_panel.wait_for_the_end()
    assert len(a_panel.segmentations()) == 1


def test_two_panels_run_and_cancel_each_for_itself(an_mr_node, a_panel):
    other = a_panel.representation.module().createNewWidgetRepresentation()
    try:
        a_panel.choose(an_mr_node, "tiny_blobs_in_many_windows")
        a_panel.press_apply()
        assert other.self().ui.applyButton.text == "Apply"
        assert other.self().logic is not a_panel.widget.logic
        other.self().logic.close()
        a_panel.host.process_events(0.3)
        assert a_panel.running
        a_panel.press_apply()
    finally:
        other.self().cleanup()


def test_cleanup_ends_the_job_and_its_timer(an_mr_node, a_panel):
    a_panel.choose(an_mr_node, "tiny_blobs_in_many_windows")
    a_panel.press_apply()
    run = a_panel.widget.job.run
    a_panel.widget.cleanup()
    assert run.ended
    assert not a_panel.widget.logic._poller._timer.active
    a_panel.host.process_events(0.5)
    assert a_panel.segmentations() == []
