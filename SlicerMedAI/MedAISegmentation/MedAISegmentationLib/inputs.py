"""The image and the region of the panel: what is chosen at first, and when it has changed."""

from __future__ import annotations

import slicer
import vtk

IMAGE_CLASSES = ("vtkMRMLScalarVolumeNode", "vtkMRMLSequenceNode")

CHANGES = (
    vtk.vtkCommand.ModifiedEvent,
    slicer.vtkMRMLTransformableNode.TransformModifiedEvent,
    slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent,
    slicer.vtkMRMLMarkupsNode.PointModifiedEvent,
)
"""Events of an image or a region after which what was said about them may no longer hold."""


def isSequence(node) -> bool:
    """Whether a node stands for several frames."""
    return node.IsA("vtkMRMLSequenceNode") or node.IsA("vtkMRMLSequenceBrowserNode")


def imageToStartWith():
    """The image that the slice views show, else the first one that the selector offers, else the first sequence."""
    shown = slicer.app.applicationLogic().GetSelectionNode()
    active = slicer.mrmlScene.GetNodeByID(shown.GetActiveVolumeID() or "") if shown is not None else None
    offered = [active, *(node for name in IMAGE_CLASSES for node in slicer.util.getNodesByClass(name))]
    return next((node for node in offered if isOffered(node)), None)


def isOffered(node) -> bool:
    """Whether the selector, too, offers this node as an image: label maps are volumes to MRML, but hold no image."""
    return node is not None and not node.IsA("vtkMRMLLabelMapVolumeNode") and not node.GetHideFromEditors()


def placeNewRegion(region, image, largest: float = float("inf")) -> None:
    """Give a new box a size: without one it cannot be seen, let alone dragged to its place.

    Parameters
    ----------
    region : vtkMRMLMarkupsROINode
        Comes to lie in the middle of the image.
    image : vtkMRMLVolumeNode
        With voxels.
    largest : float
        Longest edge in mm; as large as the image where that is shorter.
    """
    bounds = [0.0] * 6
    image.GetRASBounds(bounds)
    low, high = bounds[0::2], bounds[1::2]
    region.SetCenter([(low[axis] + high[axis]) / 2 for axis in range(3)])
    region.SetSize(*(min(high[axis] - low[axis], largest) for axis in range(3)))
    region.CreateDefaultDisplayNodes()
