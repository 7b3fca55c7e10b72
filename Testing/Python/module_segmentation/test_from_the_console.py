"""The logic without the panel: as from Slicer's Python console, blocking and with callbacks."""

from __future__ import annotations

import sys

import pytest

from medai.errors import BundleNotFoundError, InputError, JobCancelled


@pytest.fixture
def a_logic(a_slicer):
    from MedAISegmentation import MedAISegmentationLogic

    logic = MedAISegmentationLogic()
    yield logic
    logic.close()


def volume_from(node):
    from medai.mrml import volume_from_node

    return volume_from_node(node)


class PollByHand:
    """In place of a Qt timer."""

    def __init__(self) -> None:
        self.runs = []

    def add(self, run) -> None:
        self.runs.append(run)

    def stop(self) -> None:
        for run in self.runs:
            run.cancel()


def test_one_call_gives_the_segmentation_node(an_mr_node, a_logic):
    heard = []
    node = a_logic.process(an_mr_node, model="tiny_blobs", onProgress=heard.append)
    assert node.GetSegmentation().GetNumberOfSegments() == 2
    assert "Segmenting" in {progress.stage for progress in heard}


def test_the_console_and_the_library_give_the_same_voxels(an_mr_node, a_logic):
    import numpy as np
    import slicer
    from vtkmodules.util.numpy_support import vtk_to_numpy

    import medai
    from medai.mrml.volumes import volume_from_node

    node = a_logic.process(an_mr_node, model="tiny_blobs")
    expected = medai.segment(volume_from_node(an_mr_node), "tiny_blobs").labelmap
    for index, segment in enumerate(expected.segments):
        image = node.GetSegmentation().GetNthSegment(index).GetRepresentation("Binary labelmap")
        values = vtk_to_numpy(image.GetPointData().GetScalars())
        assert np.array_equal(values == segment.value, expected.mask(segment).ravel())
    assert slicer.mrmlScene.IsNodePresent(node)


def test_with_callbacks_it_returns_at_once_and_reports_later(an_mr_node, a_logic):
    finished, errors = [], []
    run = a_logic.process(
        an_mr_node, "tiny_blobs", onFinished=lambda *news: finished.append(news), onError=errors.append
    )
    assert not finished
    import slicer

    while not run.ended:
        slicer.app.processEvents()
    [(node, result)] = finished
    assert not errors
    assert node is run.segmentationNode
    assert result.provenance.bundle == "tiny_blobs"


def test_a_script_may_poll_by_itself_without_any_qt_timer(an_mr_node, a_slicer):
    from MedAISegmentation import MedAISegmentationLogic

    poller = PollByHand()
    finished = []
    logic = MedAISegmentationLogic(poller=poller)
    run = logic.process(an_mr_node, "tiny_blobs", onFinished=lambda *news: finished.append(news))
    while run.poll():
        pass
    assert len(finished) == 1


def test_a_finished_run_calls_back_once_only(an_mr_node, a_slicer):
    from MedAISegmentation import MedAISegmentationLogic

    calls = []
    logic = MedAISegmentationLogic(poller=PollByHand())
    run = logic.process(an_mr_node, "tiny_blobs", onFinished=lambda *_: calls.append("done"), onError=calls.append)
    while run.poll():
        pass
    run.poll()
    run.cancel()
    assert calls == ["done"]


def test_cancelling_calls_back_once_with_a_kind_word(an_mr_node, a_logic):
    errors = []
    run = a_logic.process(an_mr_node, "tiny_blobs_in_many_windows", onError=errors.append)
    run.cancel()
    run.cancel()
    [error] = errors
    assert isinstance(error, JobCancelled)


def test_cancelling_from_a_progress_callback_is_safe(an_mr_node, a_logic):
    errors, runs = [], []
    runs.append(
        a_logic.process(
            an_mr_node,
            "tiny_blobs_in_many_windows",
            onProgress=lambda progress: runs[0].cancel() if progress.stage == "Segmenting" else None,
            onError=errors.append,
        )
    )
    import slicer

    while not runs[0].ended:
        slicer.app.processEvents()
    assert [type(error) for error in errors] == [JobCancelled]


def test_a_model_that_finds_its_structure_is_let_do_so_in_images_larger_than_it_expects(an_mr_node, a_logic):
    from dataclasses import replace

    model = next(model for model in a_logic.models() if model.name == "tiny_blobs")
    extent = max(volume_from(an_mr_node).extent_mm)
    larger = replace(model, finds_region=True, expects=replace(model.expects, extent_mm=(1, extent / 2)))
    fitting = replace(model, finds_region=True, expects=replace(model.expects, extent_mm=(1, extent * 2)))
    assert a_logic.defaultRegion(an_mr_node, larger) == "auto"
    assert a_logic.defaultRegion(an_mr_node, fitting) is None
    assert a_logic.defaultRegion(an_mr_node, replace(larger, finds_region=False)) is None


def test_an_image_in_which_the_region_will_be_found_is_not_called_too_large(an_mr_node, a_logic):
    from dataclasses import replace

    model = next(model for model in a_logic.models() if model.name == "tiny_blobs")
    small = replace(model, expects=replace(model.expects, extent_mm=(1, 5)))
    assert a_logic.warnings(an_mr_node, small)
    assert a_logic.warnings(an_mr_node, small, "auto") == ()


def test_a_drawn_region_is_what_the_image_is_judged_by(an_mr_node, a_logic):
    from dataclasses import replace

    import slicer

    volume = volume_from(an_mr_node)
    roi = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Here")
    bounds = [0.0] * 6
    an_mr_node.GetRASBounds(bounds)
    roi.SetCenter(*((bounds[2 * axis] + bounds[2 * axis + 1]) / 2 for axis in range(3)))
    roi.SetSize(10, 10, 10)
    model = next(model for model in a_logic.models() if model.name == "tiny_blobs")
    model = replace(model, expects=replace(model.expects, extent_mm=(1, max(volume.extent_mm) - 1)))
    assert a_logic.warnings(an_mr_node, model)
    assert a_logic.warnings(an_mr_node, model, roi) == ()
    roi.SetCenter(5000, 0, 0)
    with pytest.raises(InputError, match="outside the image"):
        a_logic.warnings(an_mr_node, model, roi)


def test_no_image_and_no_such_model_are_explained(an_mr_node, a_logic):
    with pytest.raises(InputError, match="Choose an image"):
        a_logic.process(None)
    with pytest.raises(BundleNotFoundError, match="tiny_blobs"):
        a_logic.process(an_mr_node, model="tiny_blob")


@pytest.mark.parametrize(("platform", "name"), [("linux", "cuda"), ("win32", "cuda"), ("darwin", "mps")])
def test_the_graphics_card_has_the_name_that_this_computer_gives_it(a_slicer, monkeypatch, platform, name):
    from MedAISegmentationLib.logic import deviceName

    from MedAISegmentation import Device

    monkeypatch.setattr(sys, "platform", platform)
    assert deviceName(Device.GPU) == name
    assert deviceName(Device.AUTOMATIC) == "auto"
    assert deviceName("cuda:1") == "cuda:1"


def test_a_failure_while_adding_nodes_is_one_sentence_and_no_traceback(an_mr_node, a_slicer, monkeypatch):
    import medai.mrml.results
    from MedAISegmentation import MedAISegmentationLogic

    def fail(*_arguments, **_options):
        raise ZeroDivisionError("somewhere deep")

    errors = []
    monkeypatch.setattr(medai.mrml.results, "add_result", fail)
    run = MedAISegmentationLogic(poller=PollByHand()).process(an_mr_node, "tiny_blobs", onError=errors.append)
    while run.poll():
        pass
    [error] = errors
    assert "ZeroDivisionError" not in str(error)
    assert "ZeroDivisionError" in error.details
