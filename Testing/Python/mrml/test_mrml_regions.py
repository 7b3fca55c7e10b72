"""Markups ROI nodes to `Region`."""

from __future__ import annotations

import numpy as np
import pytest

from medai.errors import GeometryError, InputError
from medai.mrml import region_from_node
from medai.mrml.transforms import matrix_from_array
from medai.volume import apply_affine

TURN = np.array([[0.6, -0.8, 0, 10], [0.8, 0.6, 0, 20], [0, 0, 1, 30], [0, 0, 0, 1.0]])


@pytest.fixture
def a_roi_node(a_scene):
    node = a_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Left")
    node.SetSize(4, 6, 8)
    node.SetCenter(1, 2, 3)
    return node


def same_points(first, second):
    return np.allclose(sorted(map(tuple, first.round(6))), sorted(map(tuple, second.round(6))))


def test_straight_box(a_roi_node):
    region = region_from_node(a_roi_node)
    assert np.allclose(region.center, [1, 2, 3])
    assert np.allclose(region.size, [4, 6, 8])
    assert np.allclose(region.axes, np.eye(3))
    assert region.name == "Left"


def test_turned_box(a_roi_node):
    a_roi_node.SetAndObserveObjectToNodeMatrix(matrix_from_array(TURN))
    region = region_from_node(a_roi_node)
    assert np.allclose(region.center, [10, 20, 30])
    assert np.allclose(region.axes, TURN[:3, :3])
    assert np.allclose(region.center, a_roi_node.GetCenterWorld())


@pytest.mark.parametrize(
    "parent",
    [
        np.array([[0, -1, 0, 5], [1, 0, 0, 6], [0, 0, 1, 7], [0, 0, 0, 1.0]]),
        np.array([[2, 0.7, 0, 5], [0, 1, 0.2, 6], [0, 0, -3, 7], [0, 0, 0, 1.0]]),
    ],
)
def test_parent_transform_moves_every_corner(a_roi_node, make_transform_node, parent):
    a_roi_node.SetAndObserveObjectToNodeMatrix(matrix_from_array(TURN))
    own = region_from_node(a_roi_node)
    a_roi_node.SetAndObserveTransformNodeID(make_transform_node(parent).GetID())
    moved = region_from_node(a_roi_node)
    assert same_points(moved.corners, apply_affine(parent, own.corners))
    assert moved.contains(apply_affine(parent, own.center[np.newaxis])).all()


def test_bent_box_is_refused(a_roi_node, a_bent_transform_node):
    a_roi_node.SetAndObserveTransformNodeID(a_bent_transform_node.GetID())
    with pytest.raises(GeometryError, match="bent"):
        region_from_node(a_roi_node)


def test_box_that_was_never_drawn_is_refused(a_scene):
    with pytest.raises(InputError, match="not been drawn"):
        region_from_node(a_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode"))


def test_other_nodes_are_refused(a_volume_node):
    for node in (a_volume_node, None):
        with pytest.raises(InputError, match="not a region of interest"):
            region_from_node(node)
