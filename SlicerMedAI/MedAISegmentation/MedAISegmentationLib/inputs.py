"""The images and the region of the panel: what a model asks for, what is chosen at first, when it has changed."""

from __future__ import annotations

import slicer
import vtk
from slicer.i18n import tr as _

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


def imagesOf(model, first=None) -> list[str]:
    """What a person is asked to choose for a model, one caption for each image.

    Parameters
    ----------
    model : Description or None
        Of a model with several channels every channel is an image of its own (the four sequences of a brain MR, CT
        and PET), unless the channels are those of a colour.
    first : vtkMRMLNode, optional
        The first image. One that has all channels itself needs no others beside it.
    """
    count = model.channels if model is not None else 1
    vector = first.GetNumberOfImageComponents() if first is not None and first.IsA("vtkMRMLVectorVolumeNode") else 1
    if count < 2 or vector == count or isColour(model):
        return [_("Image")]
    names = model.channel_names
    if len(names) == count and all(names):
        return list(names)
    return [_("Image {number}").format(number=number + 1) for number in range(count)]


def isColour(model) -> bool:
    """Whether the channels of a model are red, green and blue."""
    kind = model.inputs[0].kind.casefold() if model.inputs else ""
    initials = "".join(name[:1] for name in model.channel_names).casefold()
    return "rgb" in kind or "color" in kind or "colour" in kind or (model.channels == 3 and initials == "rgb")


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
