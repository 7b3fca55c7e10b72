"""`Labelmap` to segmentation node: one shared image per layer, whatever the number of segments."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import slicer
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import vtk_to_numpy

from medai.errors import InputError, SceneError
from medai.mrml.transforms import matrix_from_array
from medai.mrml.volumes import image_from_array
from medai.result import Labelmap, Segment
from medai.terminology import terminology_entry
from medai.volume import Affine

LABELMAP = "Binary labelmap"
SURFACE = "Closed surface"

Undo = Callable[[], None]


def fill_segmentation(node: Any, labelmap: Labelmap, image_to_node: Affine) -> None:
    """Give a new segmentation node the segments of `labelmap`, as its source representation.

    Parameters
    ----------
    node : vtkMRMLSegmentationNode
        What it held is dropped.
    labelmap : Labelmap
        Segments that occur nowhere in the image are kept, empty.
    image_to_node : ndarray, shape (4, 4)
        (i, j, k, 1) to the node's own RAS coordinates; shear and flips are kept.
    """
    segmentation = slicer.vtkSegmentation()
    segmentation.SetSourceRepresentationName(LABELMAP)
    layers = layer_images(labelmap, image_to_node)
    for item in labelmap.segments:
        segmentation.AddSegment(
            _segment(item, layers[item.layer]), segmentation.GenerateUniqueSegmentID(_id(item.name))
        )
    # Observed only now: a node that watches redoes its display for every single segment.
    node.SetAndObserveSegmentation(segmentation)


def merge_into_segmentation(node: Any, labelmap: Labelmap, image_to_node: Affine, *, surfaces: bool = True) -> Undo:
    """Write segments into a segmentation that a person already has.

    A segment of the same name gets the new voxels and keeps its colour, codes and place in the list. Segments of
    other names stay as they are, voxel for voxel.

    Parameters
    ----------
    surfaces : bool
        Whether 3D surfaces that it had are made anew at once; without, it has none until somebody makes them.

    Returns
    -------
    callable
        Puts everything back as it was.

    Raises
    ------
    InputError
        When the segmentation is made of surfaces or fractions, so that voxels would destroy what it holds.
    """
    segmentation = node.GetSegmentation()
    if segmentation is None or segmentation.GetNumberOfSegments() == 0:
        previous = segmentation
        fill_segmentation(node, labelmap, image_to_node)
        return lambda: node.SetAndObserveSegmentation(previous)
    if segmentation.GetSourceRepresentationName() != LABELMAP:
        raise InputError(
            f"The segmentation '{node.GetName()}' cannot take the result.",
            f"It is stored as '{segmentation.GetSourceRepresentationName()}', not as voxels.",
            "Choose a new output segmentation, or make 'Binary labelmap' its source in the Segmentations module.",
        )
    undo = _undo(segmentation)
    try:
        _merge(segmentation, labelmap, layer_images(labelmap, image_to_node), surfaces=surfaces)
    except BaseException:
        undo()
        raise
    return undo


def _merge(segmentation: Any, labelmap: Labelmap, layers: dict[int, Any], *, surfaces: bool) -> None:
    had_surface = segmentation.ContainsRepresentation(SURFACE)
    if had_surface:  # otherwise every added segment would be meshed one by one
        segmentation.RemoveRepresentation(SURFACE)
    known = {segmentation.GetNthSegment(n).GetName(): n for n in reversed(range(segmentation.GetNumberOfSegments()))}
    replaced = [
        (item, segmentation.GetNthSegment(known[item.name])) for item in labelmap.segments if item.name in known
    ]
    _release([segment for _, segment in replaced], segmentation)
    for item, segment in replaced:
        segment.SetLabelValue(item.value)
        segment.AddRepresentation(LABELMAP, layers[item.layer])
    for item in labelmap.segments:
        if item.name not in known:
            identifier = segmentation.GenerateUniqueSegmentID(_id(item.name))
            if not segmentation.AddSegment(_segment(item, layers[item.layer]), identifier):
                raise SceneError(
                    f"The segment '{item.name}' could not be added.",
                    "Slicer refused it.",
                    "Choose a new output segmentation.",
                )
    if had_surface and surfaces:
        segmentation.CreateRepresentation(SURFACE)


def _release(segments: list[Any], segmentation: Any) -> None:
    """Take segments out of the layers they share with others.

    The others get a copy of the layer without the voxels of `segments`: left in place, those would come back to life
    as soon as Slicer hands their label value to a new segment. The old layer is not touched, so it can be put back.
    """
    everything = [segmentation.GetNthSegment(n) for n in range(segmentation.GetNumberOfSegments())]
    for image in {segment.GetRepresentation(LABELMAP) for segment in segments} - {None}:
        stays = [s for s in everything if s not in segments and s.GetRepresentation(LABELMAP) is image]
        if stays:
            copy = slicer.vtkOrientedImageData()
            copy.DeepCopy(image)
            leaves = [s.GetLabelValue() for s in segments if s.GetRepresentation(LABELMAP) is image]
            scalars = copy.GetPointData().GetScalars()
            if scalars is not None and scalars.GetNumberOfTuples():
                voxels = vtk_to_numpy(scalars)
                voxels[np.isin(voxels, leaves)] = 0
            for segment in stays:
                segment.AddRepresentation(LABELMAP, copy)


def _undo(segmentation: Any) -> Undo:
    """Remember representations and label values; nothing here changes a representation in place."""
    count = segmentation.GetNumberOfSegments()
    before = {
        segmentation.GetNthSegmentID(n): (
            segmentation.GetNthSegment(n).GetLabelValue(),
            {name: segmentation.GetNthSegment(n).GetRepresentation(name) for name in (LABELMAP, SURFACE)},
        )
        for n in range(count)
    }

    def undo() -> None:
        for identifier in [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]:
            if identifier not in before:
                segmentation.GetSegment(identifier).RemoveRepresentation(LABELMAP)
                segmentation.RemoveSegment(identifier)
        for identifier, (value, representations) in before.items():
            segment = segmentation.GetSegment(identifier)
            segment.SetLabelValue(value)
            for name, data in representations.items():
                if data is not None:
                    segment.AddRepresentation(name, data)
                else:
                    segment.RemoveRepresentation(name)

    return undo


def drop_segments(node: Any) -> None:
    """Empty a segmentation node that nobody needs any more, at once.

    Left to itself Slicer first cuts every segment out of its shared layer, one full pass over the voxels each: seconds
    for a hundred segments, at the deletion of the node.
    """
    segmentation = node.GetSegmentation()
    if segmentation is not None:
        for n in range(segmentation.GetNumberOfSegments()):
            segmentation.GetNthSegment(n).RemoveRepresentation(LABELMAP)
        segmentation.RemoveAllSegments()


def layer_images(labelmap: Labelmap, image_to_node: Affine) -> dict[int, Any]:
    """One image per layer that has segments, with a copy of its voxels.

    Returns
    -------
    dict of int to vtkOrientedImageData
        By layer number.
    """
    images = {}
    for number in sorted({item.layer for item in labelmap.segments}):
        image = oriented_image(image_to_node)
        values = [item.value for item in labelmap.segments if item.layer == number]
        image_from_array(_only(labelmap.layers[number], values), image)
        images[number] = image
    return images


def oriented_image(image_to_node: Affine) -> Any:
    """Empty vtkOrientedImageData with a geometry, to the last bit.

    ``SetImageToWorldMatrix`` would skip what differs from the present geometry by less than 1e-6.
    """
    image = slicer.vtkOrientedImageData()
    spacing = np.linalg.norm(image_to_node[:3, :3], axis=0)
    directions = np.eye(4)
    directions[:3, :3] = image_to_node[:3, :3] / spacing
    image.SetDirectionMatrix(matrix_from_array(directions))
    image.SetSpacing(*(float(value) for value in spacing))
    image.SetOrigin(*(float(value) for value in image_to_node[:3, 3]))
    return image


def _only(layer: NDArray[np.generic], values: Iterable[int]) -> NDArray[np.generic]:
    """`layer` in a type that segmentations take, without voxels of a value that no segment claims."""
    layer = layer.view(np.uint8) if layer.dtype == np.bool_ else layer
    highest = int(layer.max())
    claimed = {value for value in values if value <= highest}
    if len(claimed) < highest:  # some value between 1 and the highest is nobody's
        table = np.zeros(highest + 1, dtype=np.uint8 if highest < 256 else np.uint16)
        table[sorted(claimed)] = sorted(claimed)
        return np.asarray(table[layer])
    return layer if layer.dtype.itemsize <= 2 else layer.astype(np.uint8 if highest < 256 else np.uint16)


def _segment(item: Segment, image: Any) -> Any:
    segment = slicer.vtkSegment()
    segment.SetName(item.name)
    segment.SetNameAutoGenerated(False)
    segment.SetColor(*item.color)
    segment.SetColorAutoGenerated(False)
    segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), terminology_entry(item))
    segment.SetLabelValue(item.value)
    segment.AddRepresentation(LABELMAP, image)
    return segment


def _id(name: str) -> str:
    """Segment names as IDs: readable in Python and in files; the header of a .seg.nrrd allows no line breaks."""
    return "_".join(name.split()) or "Segment"


def show_closed_surface(node: Any, *, visible: bool = True) -> None:
    """Make the surfaces of a segmentation node and show them in the 3D views.

    Raises
    ------
    SceneError
        When the surfaces cannot be made.
    """
    segmentation = node.GetSegmentation()
    if visible and segmentation.GetNumberOfSegments() and not node.CreateClosedSurfaceRepresentation():
        raise SceneError(
            f"The 3D surfaces of '{node.GetName()}' could not be made.",
            "The conversion from voxels to surfaces failed.",
            "The segmentation itself is complete: use the slice views, or try 'Show 3D' in the Segmentations module.",
        )
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetVisibility3D(visible)
    if visible:
        display.SetPreferredDisplayRepresentationName3D(SURFACE)
