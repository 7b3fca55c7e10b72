"""Matrices between MRML and numpy, and the parent transforms of nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
from vtkmodules.vtkCommonMath import vtkMatrix4x4

from medai.errors import GeometryError
from medai.volume import Affine


def array_from_matrix(matrix: vtkMatrix4x4) -> Affine:
    """Copy of a VTK matrix as an array of shape (4, 4)."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)], dtype=np.float64)


def matrix_from_array(array: Affine) -> vtkMatrix4x4:
    """VTK matrix with the numbers of an array of shape (4, 4)."""
    matrix = vtkMatrix4x4()
    matrix.DeepCopy([float(value) for value in np.asarray(array).ravel()])
    return matrix


def node_to_world(node: Any) -> Affine:
    """Matrix from a node's own RAS coordinates to world RAS, over all its parent transforms.

    Parameters
    ----------
    node : vtkMRMLTransformableNode
        Any node that can be put under a transform.

    Returns
    -------
    ndarray, shape (4, 4)
        Identity when the node has no parent transform.

    Raises
    ------
    GeometryError
        When a transform on the way is not linear, or cannot be inverted.
    """
    parent = node.GetParentTransformNode()
    if parent is None:
        return np.eye(4)
    if not parent.IsTransformToWorldLinear():
        raise GeometryError(
            f"'{node.GetName()}' is bent by the transform '{_first_bent(parent)}'.",
            "That transform is not linear (a warp, a B-spline, a displacement field): the voxels have no grid.",
            "In the Data or Transforms module choose 'Harden transform' for it, or take it out of the transform; "
            "then try again.",
        )
    matrix = vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(matrix)
    array = array_from_matrix(matrix)
    columns = np.linalg.norm(array[:3, :3], axis=0)
    if not np.isfinite(array).all() or not columns.all() or abs(np.linalg.det(array[:3, :3] / columns)) < 1e-9:
        raise GeometryError(
            f"The transform '{parent.GetName()}' flattens '{node.GetName()}'.",
            "Its matrix cannot be inverted.",
            "Correct the transform in the Transforms module, or take the image out of it.",
        )
    return array


def _first_bent(transform: Any) -> str:
    """Name of the transform nearest to the node that is not linear."""
    while transform is not None and transform.IsLinear():
        transform = transform.GetParentTransformNode()
    return str(transform.GetName()) if transform is not None else "?"


def put_under(node: Any, transform: Any | None) -> None:
    """Put `node` under a transform node, or under none."""
    node.SetAndObserveTransformNodeID(transform.GetID() if transform is not None else None)
