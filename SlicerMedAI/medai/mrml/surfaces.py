"""Closed surfaces of a segmentation, made in a thread while Slicer's window lives."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonDataModel import vtkImageData, vtkPolyData
from vtkmodules.vtkCommonMath import vtkMatrix4x4
from vtkmodules.vtkCommonTransforms import vtkTransform
from vtkmodules.vtkFiltersCore import vtkDecimatePro, vtkPolyDataNormals, vtkWindowedSincPolyDataFilter
from vtkmodules.vtkFiltersGeneral import vtkDiscreteFlyingEdges3D, vtkTransformPolyDataFilter

from medai.mrml.segmentations import LABELMAP, SURFACE, show_closed_surface
from medai.mrml.transforms import array_from_matrix, matrix_from_array
from medai.mrml.volumes import voxels
from medai.volume import Affine

_MOST_ROUNDS = 3
_RULE = slicer.vtkBinaryLabelmapToClosedSurfaceConversionRule


@dataclass(frozen=True)
class Look:
    """How Slicer is to convert voxels to surfaces, as the segmentation says.

    Parameters
    ----------
    smoothing : float
        0 (blocky) to 1 (shrinks).
    decimation : float
        Part of the triangles to leave out, 0 to 1.
    normals : bool
        Whether shading is smooth.
    """

    smoothing: float = 0.5
    decimation: float = 0.0
    normals: bool = True


@dataclass(eq=False)
class _Piece:
    """One segment: what it was when the surface was asked for, and what became of it."""

    identifier: str
    segment: Any
    image: Any
    state: tuple[int, int]
    layer: NDArray[np.generic]
    first: tuple[int, ...]
    image_to_node: Affine
    surface: Any = None

    def unchanged(self, segmentation: Any) -> bool:
        segment = segmentation.GetSegment(self.identifier)
        if segment is not self.segment or segment.GetRepresentation(LABELMAP) is not self.image:
            return False
        return bool(self.state == _state(segment, self.image))


class SurfaceMaking:
    """Surfaces on their way into a segmentation node: as Slicer's own conversion makes them, without its freeze.

    Nobody is called back: somebody calls `poll` now and then from the main thread, as for `medai.jobs.Running`. The
    thread works on copies of the voxels and on filters of its own; nodes are touched by `poll` alone.

    Parameters
    ----------
    node : vtkMRMLSegmentationNode
        In a scene. When it leaves that, or `cancel` is called, nothing more happens.

    Attributes
    ----------
    done, total : int
        Segments that have a surface, and all.
    shown : bool
        Whether the surfaces are in the node and shown.
    """

    def __init__(self, node: Any) -> None:
        self.done, self.total = 0, 0
        self.shown = False
        self._node = node
        self._scene = node.GetScene()
        self._stop = threading.Event()
        self._pieces: list[_Piece] = []
        self._thread: threading.Thread | None = None
        self._rounds = 0
        self._error: Exception | None = None

    def poll(self) -> bool:
        """Go on; True while there is more to come. Never waits for the thread.

        Raises
        ------
        SceneError
            When the surfaces cannot be made.
        """
        if self._stop.is_set() or not self._scene.IsNodePresent(self._node):
            self.cancel()
            return False
        if self._thread is not None and self._thread.is_alive():
            return True
        if self._thread is not None:
            self._thread = None
            self._deliver()
        look = look_of(self._node.GetSegmentation())
        missing = self._missing()
        # Slicer itself makes what remains: what is edited all the time, or by a method that is not imitated here.
        if not missing or look is None or self._error is not None or self._rounds >= _MOST_ROUNDS:
            show_closed_surface(self._node)
            self.shown = True
            self.cancel()
            return False
        self._rounds += 1
        self._pieces = missing
        self.done, self.total = 0, len(missing)
        self._thread = threading.Thread(target=self._make, args=(tuple(missing), look), daemon=True)
        self._thread.start()
        return True

    def cancel(self) -> None:
        """Nothing more comes; the thread ends after the filter that it is in."""
        self._stop.set()
        self._pieces = []
        self._node = None

    def _missing(self) -> list[_Piece]:
        segmentation = self._node.GetSegmentation()
        copies: dict[Any, NDArray[np.generic]] = {}
        found = []
        for number in range(segmentation.GetNumberOfSegments()):
            segment = segmentation.GetNthSegment(number)
            image = segment.GetRepresentation(LABELMAP)
            if segment.GetRepresentation(SURFACE) is not None or image is None:
                continue
            if image not in copies:
                scalars = image.GetPointData().GetScalars()
                empty = scalars is None or not scalars.GetNumberOfTuples()
                copies[image] = np.zeros((0, 0, 0)) if empty else voxels(scalars, image.GetDimensions(), "").copy()
            found.append(
                _Piece(
                    segmentation.GetNthSegmentID(number),
                    segment,
                    image,
                    _state(segment, image),
                    copies[image],
                    tuple(image.GetExtent()[0::2]),
                    _image_to_node(image),
                )
            )
        return found

    def _make(self, pieces: tuple[_Piece, ...], look: Look) -> None:
        try:
            for piece in pieces:
                if self._stop.is_set():
                    return
                value = piece.state[0]
                piece.surface = closed_surface(piece.layer, value, piece.first, piece.image_to_node, look)
                self.done += 1
        except Exception as error:  # out of memory, say: Slicer's own conversion then tells
            self._error = error

    def _deliver(self) -> None:
        """All surfaces at once: between two events a person sees none or all of them."""
        segmentation = self._node.GetSegmentation()
        ready = [piece for piece in self._pieces if piece.surface is not None and piece.unchanged(segmentation)]
        modifying = self._node.StartModify()
        try:
            for piece in ready:
                piece.segment.AddRepresentation(SURFACE, piece.surface)
            segmentation.InvokeEvent(slicer.vtkSegmentation.ContainedRepresentationNamesModified)
        finally:
            self._node.EndModify(modifying)
        self._pieces = []


def look_of(segmentation: Any) -> Look | None:
    """What a segmentation says about its surfaces; None when it wants a method that only Slicer's conversion has."""

    def number(name: str) -> float:
        return float(segmentation.GetConversionParameter(name) or 0)

    if number(_RULE.GetConversionMethodParameterName()) or number(_RULE.GetJointSmoothingParameterName()):
        return None
    return Look(
        number(_RULE.GetSmoothingFactorParameterName()),
        number(_RULE.GetDecimationFactorParameterName()),
        bool(number(_RULE.GetComputeSurfaceNormalsParameterName())),
    )


def closed_surface(
    layer: NDArray[np.generic], value: int, first: tuple[int, ...], image_to_node: Affine, look: Look
) -> vtkPolyData:
    """Surface of the voxels of one value, the same that Slicer makes, from the part of the image where they are.

    The filters and their settings are those of ``vtkBinaryLabelmapToClosedSurfaceConversionRule``. Unlike that class
    they let other Python threads run meanwhile.

    Parameters
    ----------
    layer : ndarray, shape (K, J, I)
    value : int
    first : (i, j, k)
        Index of the first voxel.
    image_to_node : ndarray, shape (4, 4)
        (i, j, k, 1) to RAS in mm.
    look : Look
    """
    cut = _cut(layer, value, first)
    if cut is None:
        return vtkPolyData()
    edges = vtkDiscreteFlyingEdges3D()
    edges.SetInputData(cut)
    edges.ComputeGradientsOff()
    edges.ComputeNormalsOff()
    edges.SetValue(0, 1)
    last: Any = edges
    if look.decimation > 0:
        decimate = vtkDecimatePro()
        decimate.SetInputConnection(last.GetOutputPort())
        decimate.SetFeatureAngle(60)
        decimate.SplittingOff()
        decimate.PreserveTopologyOn()
        decimate.SetMaximumError(1)
        decimate.SetTargetReduction(look.decimation)
        last = decimate
    if look.smoothing > 0:
        smooth = vtkWindowedSincPolyDataFilter()
        smooth.SetInputConnection(last.GetOutputPort())
        smooth.SetNumberOfIterations(int(20 + look.smoothing * 40))
        smooth.SetPassBand(10 ** (-4 * look.smoothing))
        smooth.BoundarySmoothingOff()
        smooth.FeatureEdgeSmoothingOff()
        smooth.NonManifoldSmoothingOn()
        smooth.NormalizeCoordinatesOn()
        last = smooth
    to_node = vtkTransform()
    to_node.SetMatrix(matrix_from_array(image_to_node))
    placed = vtkTransformPolyDataFilter()
    placed.SetTransform(to_node)
    placed.SetInputConnection(last.GetOutputPort())
    last = placed
    if look.normals:
        normals = vtkPolyDataNormals()
        normals.SetInputConnection(last.GetOutputPort())
        normals.ConsistencyOn()
        normals.SplittingOff()
        last = normals
    last.Update()
    surface = vtkPolyData()
    surface.ShallowCopy(last.GetOutput())
    surface.GetPointData().RemoveArray("ImageScalars")  # or a saved model would be shown in its colours
    return surface


def _cut(layer: NDArray[np.generic], value: int, first: tuple[int, ...]) -> vtkImageData | None:
    """The box around the voxels of one value, as 1 among 0, with a margin of 0 on all sides; None when there are none.

    Its indices are those of the whole image, spacing 1.
    """
    mask = layer == value
    low, high = [], []
    for axis in range(3):
        others = tuple(n for n in range(3) if n != axis)
        where = np.flatnonzero(mask.any(axis=others))
        if not len(where):
            return None
        low.append(int(where[0]))
        high.append(int(where[-1]) + 1)
    box = np.pad(mask[low[0] : high[0], low[1] : high[1], low[2] : high[2]], 1).view(np.uint8)
    extent = []
    for axis in range(3):  # i, j, k
        start = first[axis] + low[2 - axis] - 1
        extent += [start, start + box.shape[2 - axis] - 1]
    image = vtkImageData()
    image.SetExtent(*extent)
    scalars = numpy_to_vtk(box.ravel(), deep=1)
    scalars.SetName("ImageScalars")
    image.GetPointData().SetScalars(scalars)
    return image


def _image_to_node(image: Any) -> Affine:
    matrix = vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return array_from_matrix(matrix)


def _state(segment: Any, image: Any) -> tuple[int, int]:
    return int(segment.GetLabelValue()), int(image.GetMTime())
