"""Slices through a volume node with the segments of a segmentation node over it, as RGB images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkCommonMath import vtkMatrix4x4
from vtkmodules.vtkImagingCore import vtkImageReslice

from medai.mrml.segmentations import LABELMAP
from medai.mrml.transforms import array_from_matrix, matrix_from_array, node_to_world
from medai.mrml.volumes import volume_from_node
from medai.volume import Affine, Volume

FILL = 0.42
RGB = NDArray[np.uint8]


@dataclass(frozen=True)
class Orientation:
    """A standard view in radiological convention.

    Parameters
    ----------
    name : str
    right, up : tuple of float
        Directions of the screen in RAS.
    letters : tuple of str
        Patient side at the left, right, top and bottom of the screen.
    axis : int
        RAS axis across the slice.
    """

    name: str
    right: tuple[float, float, float]
    up: tuple[float, float, float]
    letters: tuple[str, str, str, str]
    axis: int


AXIAL = Orientation("Axial", (-1, 0, 0), (0, 1, 0), ("R", "L", "A", "P"), 2)
SAGITTAL = Orientation("Sagittal", (0, -1, 0), (0, 0, 1), ("A", "P", "S", "I"), 0)
CORONAL = Orientation("Coronal", (-1, 0, 0), (0, 0, 1), ("R", "L", "S", "I"), 1)


@dataclass(frozen=True, eq=False)
class Structure:
    """One segment as pictures need it.

    Parameters
    ----------
    name, color : str, RGB from 0 to 1
    value : int
        In `image`.
    image : vtkOrientedImageData
        Its layer; several structures share one.
    to_world : ndarray, shape (4, 4)
        Index of `image` (from the start of its extent's numbering) to world RAS.
    volume_ml : float
    segment : vtkSegment
    """

    name: str
    color: tuple[float, float, float]
    value: int
    image: Any
    to_world: Affine
    volume_ml: float
    segment: Any


def structures_of(node: Any) -> list[Structure]:
    """Segments of a node in its order, with their volumes."""
    found: list[Structure] = []
    counts: dict[Any, NDArray[np.intp]] = {}
    segmentation = node.GetSegmentation()
    parents = node_to_world(node)
    for n in range(segmentation.GetNumberOfSegments()):
        segment = segmentation.GetNthSegment(n)
        image = segment.GetRepresentation(LABELMAP)
        to_world, millilitres = np.eye(4), 0.0
        if image is not None and image.GetNumberOfPoints() > 0:
            matrix = vtkMatrix4x4()
            image.GetImageToWorldMatrix(matrix)
            to_world = parents @ array_from_matrix(matrix)
            if image not in counts:
                counts[image] = np.bincount(vtk_to_numpy(image.GetPointData().GetScalars()).ravel())
            count = counts[image][segment.GetLabelValue() :][:1].sum()
            millilitres = float(count * abs(np.linalg.det(to_world[:3, :3])) / 1000)
        red, green, blue = segment.GetColor()
        found.append(
            Structure(
                segment.GetName(), (red, green, blue), segment.GetLabelValue(), image, to_world, millilitres, segment
            )
        )
    return found


def points_of(structures: Sequence[Structure], limit: int = 200_000) -> NDArray[np.float64]:
    """World RAS of voxels of the structures, evenly thinned to about `limit`; shape (N, 3), none when all are empty."""
    found = [np.empty((0, 3))]
    for image in {item.image for item in structures if item.volume_ml > 0}:
        items = [item for item in structures if item.image is image]
        index = np.flatnonzero(np.isin(_array(image), [item.value for item in items]))
        index = index[:: max(1, len(index) // limit)]
        k, j, i = np.unravel_index(index, image.GetDimensions()[::-1])
        ijk = np.stack([i, j, k], axis=1) + np.array(image.GetExtent()[0::2])
        found.append(ijk @ items[0].to_world[:3, :3].T + items[0].to_world[:3, 3])
    return np.concatenate(found)


def best_center(
    points: NDArray[np.float64],
    orientation: Orientation,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    field: float,
) -> NDArray[np.float64]:
    """Middle of the slice that cuts most of `points`, moved so that the picture shows image rather than void.

    Parameters
    ----------
    points : ndarray, shape (N, 3)
        World RAS; none means the middle of the image.
    low, high : ndarray, shape (3,)
        Bounds of the image in world RAS.
    field : float
        Side of the picture in mm.
    """
    center = (low + high) / 2
    if not len(points):
        return center
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    free = np.maximum((high - low - field) / 2, 0)
    center = center + np.clip(middle - center, -free, free)
    across = points[:, orientation.axis]
    counts, edges = np.histogram(across, bins=max(1, int(np.ceil(np.ptp(across)))))
    # Of several equally good slices the one nearest to the middle of the segments.
    best = max(range(len(counts)), key=lambda n: (counts[n], -abs(n - len(counts) / 2)))
    center[orientation.axis] = (edges[best] + edges[best + 1]) / 2
    return np.asarray(center)


def slice_image(
    node: Any,
    structures: Sequence[Structure],
    orientation: Orientation,
    center: NDArray[np.float64],
    *,
    field_mm: float,
    size: tuple[int, int],
) -> RGB:
    """One slice with the structures filled and outlined in their colours.

    Parameters
    ----------
    node : vtkMRMLVolumeNode
    structures : sequence of Structure
    center : ndarray, shape (3,)
        World RAS in the middle of the picture.
    field_mm : float
        What the shorter side of the picture shows.
    size : (width, height)
        Pixels.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        First row at the bottom, as VTK has it.
    """
    pixel = field_mm / min(size)
    plane = np.eye(4)
    plane[:3, 0] = np.array(orientation.right) * pixel
    plane[:3, 1] = np.array(orientation.up) * pixel
    plane[:3, 2] = np.cross(orientation.right, orientation.up) * pixel
    plane[:3, 3] = center - plane[:3, 0] * size[0] / 2 - plane[:3, 1] * size[1] / 2
    volume = volume_from_node(node)
    image = _index_space(node.GetImageData())
    gray = _resliced(image, np.linalg.inv(volume.affine) @ plane, size, smooth=True)
    picture = _windowed(gray, volume, node.GetDisplayNode())
    for layer in {item.image for item in structures if item.volume_ml > 0}:
        items = [item for item in structures if item.image is layer]
        first = np.array(layer.GetExtent()[0::2], dtype=np.float64)
        to_index = np.linalg.inv(items[0].to_world)
        to_index[:3, 3] -= first
        labels = _resliced(_index_space(layer), to_index @ plane, size, smooth=False)[..., 0]
        for item in items:
            mask = labels == item.value
            color = np.array(item.color) * 255
            picture[mask] = (1 - FILL) * picture[mask] + FILL * color
            picture[_outline(mask)] = color
    return np.asarray(picture.clip(0, 255), dtype=np.uint8)


def _array(image: Any) -> NDArray[np.generic]:
    scalars = vtk_to_numpy(image.GetPointData().GetScalars())
    return np.asarray(scalars.reshape(image.GetDimensions()[::-1]))


def _index_space(image: Any) -> vtkImageData:
    """The same voxels with voxel (0, 0, 0) at the origin, 1 apart."""
    plain = vtkImageData()
    plain.SetDimensions(*image.GetDimensions())
    plain.GetPointData().SetScalars(image.GetPointData().GetScalars())
    return plain


def _resliced(image: vtkImageData, axes: Affine, size: tuple[int, int], *, smooth: bool) -> NDArray[np.float64]:
    reslice = vtkImageReslice()
    reslice.SetInputData(image)
    reslice.SetResliceAxes(matrix_from_array(axes))
    reslice.SetOutputDimensionality(2)
    reslice.SetOutputSpacing(1, 1, 1)
    reslice.SetOutputOrigin(0.5, 0.5, 0)
    reslice.SetOutputExtent(0, size[0] - 1, 0, size[1] - 1, 0, 0)
    reslice.SetBackgroundLevel(image.GetScalarRange()[0] if smooth else 0)
    reslice.SetInterpolationModeToLinear() if smooth else reslice.SetInterpolationModeToNearestNeighbor()
    reslice.BorderOn()
    reslice.Update()
    output = reslice.GetOutput()
    values = vtk_to_numpy(output.GetPointData().GetScalars())
    return np.asarray(values.reshape(size[1], size[0], output.GetNumberOfScalarComponents()), dtype=np.float64)


def _windowed(values: NDArray[np.float64], volume: Volume, display: Any) -> NDArray[np.float64]:
    """Grey values to 0 to 255, by the display node's window when a person has set one. Colour images stay."""
    if values.shape[2] >= 3 and volume.array.dtype == np.uint8:
        return np.array(values[..., :3])
    if display is not None and display.IsA("vtkMRMLScalarVolumeDisplayNode") and not display.GetAutoWindowLevel():
        low, high = display.GetLevel() - display.GetWindow() / 2, display.GetLevel() + display.GetWindow() / 2
    else:
        step = max(1, volume.array.size // 500_000)
        sample = volume.array.reshape(-1)[::step].astype(np.float64)
        sample = sample[np.isfinite(sample)]
        low, high = np.percentile(sample, [1, 99.7]) if sample.size else (0.0, 1.0)
    gray: NDArray[np.float64] = np.nan_to_num((values[..., :1] - low) / max(high - low, 1e-12)).clip(0, 1) * 255
    return np.asarray(np.repeat(gray, 3, axis=2))


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Two pixels inside the edge."""
    core = mask.copy()
    for _ in range(2):
        inner = core.copy()
        inner[1:] &= core[:-1]
        inner[:-1] &= core[1:]
        inner[:, 1:] &= core[:, :-1]
        inner[:, :-1] &= core[:, 1:]
        core = inner
    return np.asarray(mask & ~core)
