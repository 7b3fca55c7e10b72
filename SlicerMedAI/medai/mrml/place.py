"""Where a result goes: the grid, the transform and the neighbourhood of its input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from medai.mrml.sequences import browser_of, sequence_of
from medai.mrml.transforms import node_to_world
from medai.mrml.volumes import own_affine
from medai.volume import Affine, Volume, corners

SAME_GRID_MM = 1e-6


@dataclass(frozen=True, eq=False)
class Place:
    """The input of a job as it now lies in the scene.

    Parameters
    ----------
    name : str
        What a person calls the input.
    parent_item : int
        Subject hierarchy item beside whose children the result goes; 0 for the root.
    volume : vtkMRMLVolumeNode or None
        Gives the reference geometry.
    transform : vtkMRMLTransformNode or None
        Parent of the input, to become the parent of the result.
    to_world : ndarray, shape (4, 4)
        From the coordinates under `transform` to world RAS, now.
    moved : ndarray, shape (4, 4)
        From world RAS when the job began to world RAS now: identity unless the input was moved meanwhile.
    """

    name: str = "image"
    parent_item: int = 0
    volume: Any = None
    transform: Any = None
    to_world: Affine = field(default_factory=lambda: np.eye(4))
    moved: Affine = field(default_factory=lambda: np.eye(4))

    @property
    def world_to_node(self) -> Affine:
        """From world RAS when the job began to the coordinates under `transform`."""
        return np.asarray(np.linalg.inv(self.to_world) @ self.moved)

    def grid(self, affine: Affine, shape: Sequence[int], node: Any = None) -> Affine:
        """Index to a node's own RAS coordinates for an image that the job gave in world RAS.

        Parameters
        ----------
        affine : ndarray, shape (4, 4)
            (i, j, k, 1) to world RAS as the job saw it.
        shape : (K, J, I)
        node : transformable node, optional
            By default a node under `transform`.

        Returns
        -------
        ndarray, shape (4, 4)
            Where it is the input's own grid, exactly the input's matrix, free of the rounding of there and back.
        """
        local = self.world_to_node @ affine
        if self.volume is not None:
            own = own_affine(self.volume)
            size = self.volume.GetImageData().GetDimensions()[::-1]
            if tuple(shape) == size and np.abs(corners(own, shape) - corners(local, shape)).max() < SAME_GRID_MM:
                local = own
        if node is None or node.GetParentTransformNode() is self.transform:
            return local
        return np.asarray(np.linalg.inv(node_to_world(node)) @ self.to_world @ local)


def place_of(node: Any, inputs: Sequence[Volume] = ()) -> Place:
    """Where the results of a job on `node` go.

    Parameters
    ----------
    node : vtkMRMLVolumeNode, vtkMRMLSequenceNode, vtkMRMLSequenceBrowserNode or None
    inputs : sequence of Volume
        The node as the job saw it.
    """
    if node is None:
        return Place(inputs[0].name if inputs else "")
    name = node.GetName() or "image"
    shown = first = node
    if not node.IsA("vtkMRMLVolumeNode"):
        sequence, browser = sequence_of(node), browser_of(node)
        name = sequence.GetName() or name
        first = sequence.GetNthDataNode(0)
        shown = browser.GetProxyNode(sequence) if browser is not None else None
    parent = _parent_item(shown) or _parent_item(node)
    to_world = node_to_world(shown) if shown is not None else np.eye(4)
    moved = np.eye(4)
    if inputs and first.GetImageData() is not None:
        then, now = inputs[0].affine, to_world @ own_affine(first)
        if np.abs(corners(now, inputs[0].shape) - corners(then, inputs[0].shape)).max() > SAME_GRID_MM:
            moved = now @ np.linalg.inv(then)
    if shown is None:
        return Place(name, parent, moved=moved)
    volume = shown if shown.GetImageData() is not None else None
    return Place(name, parent, volume, shown.GetParentTransformNode(), to_world, moved)


def _parent_item(node: Any) -> int:
    if node is None:
        return 0
    hierarchy = node.GetScene().GetSubjectHierarchyNode()
    item = hierarchy.GetItemByDataNode(node)
    return int(hierarchy.GetItemParent(item)) if item else 0
