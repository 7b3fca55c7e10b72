"""Markups ROI nodes to `Region`, and found boxes to ROI nodes."""

from __future__ import annotations

from typing import Any

import numpy as np

from medai.errors import InputError
from medai.mrml.transforms import array_from_matrix, matrix_from_array, node_to_world
from medai.volume import Affine, Region


def region_from_node(node: Any) -> Region:
    """Box of a markups ROI in world RAS.

    Parameters
    ----------
    node : vtkMRMLMarkupsROINode
        Its own rotation (object to node) and all linear parent transforms are applied. Under a transform that shears,
        the axes of the region are no longer at right angles: it is the same body that the transform makes of the box.

    Raises
    ------
    InputError
        When the node is no ROI, or has not been drawn yet.
    GeometryError
        When a parent transform is not linear, or the box has no size.
    """
    if node is None or not node.IsA("vtkMRMLMarkupsROINode"):
        raise InputError(
            f"'{node.GetName() if node is not None else 'Nothing'}' is not a region of interest.",
            "A ROI from the Markups module was expected.",
            "Create a ROI in the Markups module and draw it around the structure of interest.",
        )
    name = node.GetName() or ""
    size = np.array(node.GetSize(), dtype=np.float64)
    if node.GetNumberOfDefinedControlPoints() == 0 and not size.any():
        raise InputError(
            f"The region '{name}' has not been drawn yet.",
            "It has no centre and no size.",
            "Draw it around the structure of interest, or choose no region.",
        )
    object_to_world = node_to_world(node) @ array_from_matrix(node.GetObjectToNodeMatrix())
    lengths = np.linalg.norm(object_to_world[:3, :3], axis=0)
    return Region(object_to_world[:3, 3], size * lengths, object_to_world[:3, :3] / lengths, name)


def fill_roi_node(node: Any, region: Region, world_to_node: Affine) -> None:
    """Make a markups ROI node the box `region`.

    Parameters
    ----------
    node : vtkMRMLMarkupsROINode
    region : Region
        In world RAS.
    world_to_node : ndarray, shape (4, 4)
        Must keep the box's angles right: see `keeps_box`.
    """
    axes = world_to_node[:3, :3] @ region.axes
    lengths = np.linalg.norm(axes, axis=0)
    matrix = np.eye(4)
    matrix[:3, :3] = axes / lengths
    if np.linalg.det(matrix[:3, :3]) < 0:  # the box is the same from either side, a left-handed frame is not allowed
        matrix[:3, 2] *= -1
    matrix[:3, 3] = world_to_node[:3, :3] @ region.center + world_to_node[:3, 3]
    node.SetAndObserveObjectToNodeMatrix(matrix_from_array(matrix))
    node.SetSize(*(float(value) for value in region.size * lengths))


def keeps_box(region: Region, world_to_node: Affine) -> bool:
    """Whether `region` is still a box, with right angles, in a node's coordinates."""
    axes = world_to_node[:3, :3] @ region.axes
    axes = axes / np.linalg.norm(axes, axis=0)
    return bool(np.allclose(axes.T @ axes, np.eye(3), atol=1e-6))
