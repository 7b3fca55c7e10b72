"""Sequences to `Series`, and the results of every frame back."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from vtkmodules.util.numpy_support import vtk_to_numpy

from medai.errors import GeometryError, InputError
from medai.mrml import add_result, series_from_node
from medai.mrml.volumes import fill_volume_node
from medai.result import Boxes, Labelmap, Provenance, Result, Segment, Table
from medai.volume import Region, Volume

TIMES = ("0", "0.5", "1.25")


@pytest.fixture
def a_sequence_node(a_scene):
    node = a_scene.AddNewNodeByClass("vtkMRMLSequenceNode", "Heart")
    node.SetIndexName("time")
    node.SetIndexUnit("s")
    for number, time in enumerate(TIMES):
        frame = slicer.vtkMRMLScalarVolumeNode()
        frame.SetName("frame")
        fill_volume_node(frame, np.full((2, 3, 4), number, np.int16), np.diag([1.0, 2, 3, 1]))
        node.SetDataNodeAtValue(frame, time)
    return node


def show(browser, number):
    browser.SetSelectedItemNumber(number)
    slicer.vtkSlicerSequencesLogic().UpdateProxyNodesFromSequences(browser)


@pytest.fixture
def a_browser_node(a_scene, a_sequence_node):
    node = a_scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Browser")
    node.SetAndObserveMasterSequenceNodeID(a_sequence_node.GetID())
    show(node, 0)
    return node


@pytest.fixture
def a_series_result(a_sequence_node):
    """In frame n every voxel is labelled n + 1."""
    frames = []
    for number, volume in enumerate(series_from_node(a_sequence_node).frames):
        labels = np.full(volume.shape, number + 1, np.uint8)
        labelmap = Labelmap(labels, volume.affine, tuple(Segment(f"S{n}", n) for n in (1, 2, 3)))
        table = Table({"Segment": ("S1",), "Volume (mL)": (float(number),)}, "volumes")
        frames.append(Result((labelmap, table), Provenance("segment", "heart")))
    return Result((), Provenance("segment", "heart"), tuple(frames))


def test_frames_have_their_index_and_unit(a_sequence_node):
    series = series_from_node(a_sequence_node)
    assert series.index == (0.0, 0.5, 1.25)
    assert (series.unit, series.name, series.id) == ("s", "Heart", a_sequence_node.GetID())
    assert [int(frame.array[0, 0, 0]) for frame in series.frames] == [0, 1, 2]


def test_browser_stands_for_its_master_sequence(a_browser_node, a_sequence_node):
    assert series_from_node(a_browser_node).id == a_sequence_node.GetID()


def test_frame_is_a_view(a_sequence_node):
    series_from_node(a_sequence_node).frames[1].array[0, 0, 0] = 42
    assert a_sequence_node.GetNthDataNode(1).GetImageData().GetScalarComponentAsDouble(0, 0, 0, 0) == 42


def test_text_index_is_counted(a_sequence_node):
    a_sequence_node.SetIndexType(slicer.vtkMRMLSequenceNode.TextIndex)
    a_sequence_node.UpdateIndexValue("0", "before")
    series = series_from_node(a_sequence_node)
    assert series.index == (0.0, 1.0, 2.0)
    assert series.unit == ""


def test_transform_of_the_shown_volume_applies_to_every_frame(a_browser_node, a_sequence_node, make_transform_node):
    matrix = np.array([[0, -1, 0, 5], [1, 0, 0, 6], [0, 0, 1, 7], [0, 0, 0, 1.0]])
    a_browser_node.GetProxyNode(a_sequence_node).SetAndObserveTransformNodeID(make_transform_node(matrix).GetID())
    for node in (a_browser_node, a_sequence_node):
        for frame in series_from_node(node).frames:
            assert np.allclose(frame.affine, matrix @ np.diag([1, 2, 3, 1]))


def test_transform_that_changes_with_the_frame_is_refused(
    a_scene, a_browser_node, a_sequence_node, make_transform_node
):
    transform = make_transform_node(np.eye(4), name="Breathing")
    motion = a_scene.AddNewNodeByClass("vtkMRMLSequenceNode", "Motion")
    for time in TIMES:
        motion.SetDataNodeAtValue(transform, time)
    a_browser_node.AddSynchronizedSequenceNode(motion)
    a_browser_node.AddProxyNode(transform, motion, False)
    a_browser_node.GetProxyNode(a_sequence_node).SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(GeometryError, match="move from frame to frame"):
        series_from_node(a_browser_node)


def test_sequence_of_something_else_is_refused(a_scene):
    node = a_scene.AddNewNodeByClass("vtkMRMLSequenceNode", "Needles")
    node.SetDataNodeAtValue(slicer.vtkMRMLMarkupsROINode(), "0")
    with pytest.raises(InputError, match="'Needles' does not hold images"):
        series_from_node(node)


def test_empty_sequence_is_refused(a_scene):
    with pytest.raises(InputError, match="empty"):
        series_from_node(a_scene.AddNewNodeByClass("vtkMRMLSequenceNode"))


def test_browser_without_sequence_and_other_nodes_are_refused(a_scene, a_volume_node):
    for node in (a_scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode"), a_volume_node, None):
        with pytest.raises(InputError, match="not a sequence"):
            series_from_node(node)


@pytest.mark.parametrize("with_browser", [True, False])
def test_results_play_in_step_with_the_input(a_sequence_node, a_series_result, request, with_browser):
    browser = request.getfixturevalue("a_browser_node") if with_browser else None
    nodes = add_result(a_series_result, browser or a_sequence_node)
    assert nodes.browser is browser or browser is None
    assert nodes.browser.GetMasterSequenceNode() is a_sequence_node
    (sequence,) = nodes.sequences
    assert [sequence.GetNthIndexValue(n) for n in range(3)] == list(TIMES)
    for number in (2, 0, 1):
        show(nodes.browser, number)
        image = nodes.segmentation.GetSegmentation().GetNthSegment(0).GetRepresentation("Binary labelmap")
        assert set(vtk_to_numpy(image.GetPointData().GetScalars())) == {number + 1}
    assert nodes.segmentation.GetSegmentation().GetNumberOfLayers() == 1


def test_frame_tables_become_one(a_sequence_node, a_series_result):
    (table,) = add_result(a_series_result, a_sequence_node).tables
    assert table.GetNumberOfRows() == 3
    assert [table.GetColumnName(n) for n in range(3)] == ["time (s)", "Segment", "Volume (mL)"]


def test_removing_the_item_removes_sequences_and_leaves_the_input(a_scene, a_browser_node, a_series_result):
    before = [a_scene.GetNthNode(n).GetID() for n in range(a_scene.GetNumberOfNodes())]
    nodes = add_result(a_series_result, a_browser_node)
    a_scene.GetSubjectHierarchyNode().RemoveItem(nodes.folder)
    assert [a_scene.GetNthNode(n).GetID() for n in range(a_scene.GetNumberOfNodes())] == before
    assert a_browser_node.GetNumberOfSynchronizedSequenceNodes(True) == 1


def test_wrong_number_of_frames_changes_nothing(a_scene, a_browser_node, a_series_result):
    before = a_scene.GetNumberOfNodes()
    short = Result((), a_series_result.provenance, a_series_result.frames[:2])
    with pytest.raises(InputError, match="2 results for 3 frames"):
        add_result(short, a_browser_node)
    assert a_scene.GetNumberOfNodes() == before


def test_failure_in_a_late_frame_takes_the_sequence_out_of_the_browser(a_scene, a_browser_node, a_series_result):
    before = a_scene.GetNumberOfNodes()
    broken = [
        Result((frame.items[0], Table({"a": (1,), "b": ()})), frame.provenance) for frame in a_series_result.frames
    ]
    with pytest.raises(InputError):
        add_result(Result((), a_series_result.provenance, tuple(broken)), a_browser_node)
    assert a_scene.GetNumberOfNodes() == before
    assert a_browser_node.GetNumberOfSynchronizedSequenceNodes(True) == 1


def test_volumes_and_boxes_of_frames_are_told_apart(a_browser_node, a_series_result):
    frames = tuple(
        Result(
            (
                Volume(np.ones((2, 3, 4), np.float32) * n, np.eye(4), "noise"),
                Boxes((Region([0, 0, 0], [1, 1, 1]),), (0.5,), ("x",)),
            ),
            a_series_result.provenance,
        )
        for n in range(3)
    )
    nodes = add_result(Result((), a_series_result.provenance, frames), a_browser_node)
    assert [node.GetName() for node in nodes.rois] == [f"x 50% [{time}]" for time in TIMES]
    show(nodes.browser, 2)
    assert nodes.volumes[0].GetImageData().GetScalarRange() == (2.0, 2.0)
