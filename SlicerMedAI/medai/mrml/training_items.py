"""Images of a scene with the segmentations that belong to them, to learn from."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import vtk_to_numpy

from medai.mrml.segmentations import LABELMAP, oriented_image
from medai.mrml.transforms import node_to_world
from medai.mrml.volumes import volume_from_node
from medai.result import Labelmap, Segment
from medai.volume import Volume

Pair = tuple[Volume, Labelmap | None]


def training_pairs(scene: Any) -> list[Pair]:
    """Every image of the scene, each with its segmentation.

    A segmentation belongs to the image that it was drawn on (its reference geometry), or, where it tells none, to the
    image beside it: the only one in its folder of the subject hierarchy, or the only one in the scene. A label map
    volume belongs to the image of its name without ``label``, ``seg`` or ``mask`` at the end, or to the only one on its
    grid.

    Parameters
    ----------
    scene : vtkMRMLScene

    Returns
    -------
    list of (Volume, Labelmap or None)
        In scene order; label maps on their image's voxels. Where an image has several segmentations, the last one.

    Raises
    ------
    GeometryError
        When an image or a segmentation is under a transform that is not linear.
    """
    images = [
        node
        for node in _nodes(scene, "vtkMRMLScalarVolumeNode")
        if not node.IsA("vtkMRMLLabelMapVolumeNode") and node.GetImageData() is not None
    ]
    labels: dict[str, Any] = {}
    for node in _nodes(scene, "vtkMRMLLabelMapVolumeNode"):
        if (image := _image_of_label_map(node, images)) is not None:
            labels[image.GetID()] = node
    for node in _nodes(scene, "vtkMRMLSegmentationNode"):
        if (image := _image_of_segmentation(node, images, scene)) is not None:
            labels[image.GetID()] = node
    return [_pair(image, labels.get(image.GetID())) for image in images]


def labelmap_on_grid(node: Any, image: Volume) -> Labelmap:
    """A segmentation node's segments on the voxels of `image`; empty where they do not reach.

    Parameters
    ----------
    node : vtkMRMLSegmentationNode
        Its surfaces are turned into voxels when it has nothing else. Overlapping segments keep layers of their own.
    image : Volume
        Sets the grid.
    """
    segmentation = node.GetSegmentation()
    grid = oriented_image(np.linalg.inv(node_to_world(node)) @ image.affine)
    k, j, i = image.shape
    grid.SetExtent(0, i - 1, 0, j - 1, 0, k - 1)
    if not segmentation.ContainsRepresentation(LABELMAP):
        node.CreateBinaryLabelmapRepresentation()
    masks, segments = [], []
    for number in range(segmentation.GetNumberOfSegments()):
        identifier = segmentation.GetNthSegmentID(number)
        segment = segmentation.GetSegment(identifier)
        masks.append(_mask(node, identifier, grid, image.shape))
        segments.append((segment.GetName(), tuple(segment.GetColor())))
    overlap = sum((mask.astype(np.uint8) for mask in masks), np.zeros(image.shape, np.uint8)).max(initial=0) > 1
    if overlap:
        array = np.stack(masks).astype(np.uint8)
        items = tuple(Segment(name, 1, color, layer) for layer, (name, color) in enumerate(segments))
    else:
        array = np.zeros(image.shape, np.uint8 if len(masks) < 256 else np.uint16)
        for value, mask in enumerate(masks, 1):
            array[mask] = value
        items = tuple(Segment(name, value, color) for value, (name, color) in enumerate(segments, 1))
    return Labelmap(array, image.affine, items, node.GetName() or "segmentation")


def _nodes(scene: Any, class_name: str) -> list[Any]:
    # slicer.util.getNodesByClass looks into slicer.mrmlScene whatever scene it is given.
    return [scene.GetNthNodeByClass(n, class_name) for n in range(scene.GetNumberOfNodesByClass(class_name))]


def _pair(image: Any, labels: Any | None) -> Pair:
    volume = volume_from_node(image)
    if labels is None:
        return volume, None
    if labels.IsA("vtkMRMLSegmentationNode"):
        return volume, labelmap_on_grid(labels, volume)
    return volume, _from_label_map_node(labels)


def _from_label_map_node(node: Any) -> Labelmap:
    volume = volume_from_node(node)
    array: NDArray[np.unsignedinteger] = np.maximum(volume.array.reshape(volume.shape), 0).astype(np.uint32)
    colors = node.GetDisplayNode().GetColorNode() if node.GetDisplayNode() is not None else None
    values = [int(value) for value in np.unique(array) if value]
    segments = tuple(Segment((colors.GetColorName(v) if colors is not None else "") or f"label {v}", v) for v in values)
    return Labelmap(array, volume.affine, segments, volume.name)


def _mask(node: Any, identifier: str, grid: Any, shape: tuple[int, int, int]) -> Any:
    """Voxels of one segment, bool (K, J, I), on a grid in the node's own coordinates."""
    image = slicer.vtkOrientedImageData()
    node.GetBinaryLabelmapRepresentation(identifier, image)
    if image.IsEmpty():
        return np.zeros(shape, bool)
    on_grid = slicer.vtkOrientedImageData()
    slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(image, grid, on_grid, False, True)
    return vtk_to_numpy(on_grid.GetPointData().GetScalars()).reshape(shape) != 0


def _image_of_segmentation(node: Any, images: list[Any], scene: Any) -> Any | None:
    role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    drawn_on = node.GetNodeReference(role)
    if drawn_on is not None:
        return next((image for image in images if image.GetID() == drawn_on.GetID()), None)
    hierarchy = scene.GetSubjectHierarchyNode()
    folder = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node))
    beside = [i for i in images if hierarchy.GetItemParent(hierarchy.GetItemByDataNode(i)) == folder]
    return beside[0] if len(beside) == 1 else images[0] if len(images) == 1 else None


def _image_of_label_map(node: Any, images: list[Any]) -> Any | None:
    name = node.GetName() or ""
    for ending in ("label", "labels", "labelmap", "seg", "segmentation", "mask"):
        if name.lower().endswith(ending):
            plain = name[: -len(ending)].rstrip("-_. ")
            if named := [image for image in images if image.GetName() == plain]:
                return named[0]
    here = volume_from_node(node)
    on_grid = [image for image in images if here.same_grid(volume_from_node(image))]
    return on_grid[0] if len(on_grid) == 1 else None
