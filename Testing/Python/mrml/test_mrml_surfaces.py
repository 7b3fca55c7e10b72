"""Closed surfaces made in a thread: the same as Slicer's own, and nothing when the node has gone or changed."""

from __future__ import annotations

import time

import numpy as np
import pytest
from vtkmodules.util.numpy_support import vtk_to_numpy

from medai.mrml import SurfaceMaking, add_result, show_closed_surface
from medai.result import Labelmap, Result, Segment

SURFACE = "Closed surface"


@pytest.fixture
def make_segmentation_node(a_volume_node, a_provenance):
    """A ball with a hole filled by another segment, a block at the image's edge, and an empty segment."""
    from medai.mrml import volume_from_node

    volume = volume_from_node(a_volume_node)
    k, j, i = np.mgrid[tuple(slice(-1, 1, n * 1j) for n in volume.shape)]
    array = np.zeros(volume.shape, np.uint8)
    array[k**2 + j**2 + i**2 < 0.7] = 1
    array[k**2 + j**2 + i**2 < 0.2] = 2
    array[:2, :3, :2] = 5
    segments = tuple(Segment(f"Part {value}", value) for value in (1, 2, 5, 7))
    result = Result((Labelmap(array, volume.affine, segments),), a_provenance)
    return lambda: add_result(result, a_volume_node).segmentation


def finish(making: SurfaceMaking) -> None:
    end = time.monotonic() + 60
    while making.poll():
        assert time.monotonic() < end
        time.sleep(0.005)


def surfaces(node) -> list:
    segmentation = node.GetSegmentation()
    return [segmentation.GetNthSegment(n).GetRepresentation(SURFACE) for n in range(4)]


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"Smoothing factor": "0"},
        {"Smoothing factor": "0.9", "Decimation factor": "0.3"},
        {"Compute surface normals": "0"},
        {"Conversion method": "1"},
    ],
)
def test_surfaces_are_those_that_slicer_makes(make_segmentation_node, parameters):
    expected, found = make_segmentation_node(), make_segmentation_node()
    for node in (expected, found):
        for name, value in parameters.items():
            node.GetSegmentation().SetConversionParameter(name, value)
    show_closed_surface(expected)
    making = SurfaceMaking(found)
    finish(making)
    assert making.shown
    assert found.GetDisplayNode().GetVisibility3D()
    for ours, slicers in zip(surfaces(found), surfaces(expected), strict=True):
        assert ours.GetNumberOfPolys() == slicers.GetNumberOfPolys()
        if slicers.GetNumberOfPoints():
            points, others = (vtk_to_numpy(data.GetPoints().GetData()) for data in (ours, slicers))
            np.testing.assert_allclose(points, others, atol=1e-4)
        arrays = [data.GetPointData().GetNumberOfArrays() for data in (ours, slicers)]
        assert arrays[0] == arrays[1]
    assert surfaces(found)[0].GetNumberOfPolys() > 20
    assert surfaces(found)[3].GetNumberOfPoints() == 0


def test_all_surfaces_appear_at_once(make_segmentation_node):
    node = make_segmentation_node()
    making = SurfaceMaking(node)
    while making.poll():
        assert surfaces(node) == [None] * 4
        time.sleep(0.001)
    assert None not in surfaces(node)


def test_a_segment_edited_meanwhile_gets_the_surface_of_its_new_voxels(make_segmentation_node):
    node = make_segmentation_node()
    making = SurfaceMaking(node)
    making.poll()
    image = node.GetSegmentation().GetNthSegment(0).GetRepresentation("Binary labelmap")
    voxels = vtk_to_numpy(image.GetPointData().GetScalars())
    voxels[voxels == 1] = 0
    image.GetPointData().GetScalars().Modified()
    image.Modified()
    finish(making)
    assert surfaces(node)[0].GetNumberOfPoints() == 0
    assert surfaces(node)[1].GetNumberOfPoints() > 0


def test_a_segment_removed_meanwhile_is_left_out(make_segmentation_node):
    node = make_segmentation_node()
    making = SurfaceMaking(node)
    making.poll()
    node.GetSegmentation().RemoveSegment(node.GetSegmentation().GetNthSegmentID(0))
    finish(making)
    assert node.GetSegmentation().GetNumberOfSegments() == 3
    assert node.GetSegmentation().GetNthSegment(0).GetRepresentation(SURFACE).GetNumberOfPoints() > 0


def test_a_node_that_left_the_scene_gets_none(a_scene, make_segmentation_node):
    node = make_segmentation_node()
    making = SurfaceMaking(node)
    making.poll()
    a_scene.RemoveNode(node)
    finish(making)
    assert not making.shown
    assert surfaces(node) == [None] * 4


def test_a_cancelled_making_changes_nothing(make_segmentation_node):
    node = make_segmentation_node()
    making = SurfaceMaking(node)
    making.poll()
    making.cancel()
    finish(making)
    assert surfaces(node) == [None] * 4
