"""Volume nodes to `Volume` without a copy, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import get_vtk_array_type, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkCommand, vtkDataArray
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkCommonMath import vtkMatrix4x4

from medai.errors import InputError
from medai.mrml.dates import date_of_node
from medai.mrml.transforms import array_from_matrix, matrix_from_array, node_to_world
from medai.volume import SYNTHETIC, SYNTHETIC_KEY, Affine, Volume

VTK_BIT = 1
_NEVER = 0x6D65


def volume_from_node(node: Any) -> Volume:
    """View of a volume node: its own voxels, where they lie in the world.

    Parameters
    ----------
    node : vtkMRMLVolumeNode
        Scalar, label map, vector or diffusion-weighted volume. Linear parent transforms, however many, are applied
        to the affine; the voxels are not touched.

    Returns
    -------
    Volume
        `Volume.array` of shape (K, J, I) or (K, J, I, C) *is* the node's memory: what is written into it is in the
        node (call ``slicer.util.arrayFromVolumeModified`` for the views to notice). The array keeps that memory
        alive even when the node is deleted or given another image, but then it no longer is the node's.
        `Volume.affine` maps (i, j, k) to world RAS in mm. `Volume.id` is the node ID; `Volume.modality` comes from
        the attribute ``DICOM.Modality`` of the node or of its subject hierarchy item, `Volume.date` from where
        `medai.mrml.dates` looks for it.

    Raises
    ------
    InputError
        When the node is no volume, holds no voxels, or holds bits or tensors.
    GeometryError
        When a parent transform is not linear, or a spacing is zero.
    """
    if node is None or not node.IsA("vtkMRMLVolumeNode"):
        raise InputError(
            f"'{node.GetName() if node is not None else 'Nothing'}' is not an image.",
            "A volume was expected.",
            "Choose a volume (a CT, an MR, an ultrasound image...).",
        )
    return _volume(node, node_to_world(node), modality=_modality(node))


def volume_in_sequence(node: Any, to_world: Affine, *, modality: str, identifier: str) -> Volume:
    """The same for a data node inside a sequence, which has no scene and no parent transform of its own."""
    return _volume(node, to_world, modality=modality, identifier=identifier)


def _volume(node: Any, to_world: Affine, *, modality: str, identifier: str = "") -> Volume:
    name = node.GetName() or "image"
    image = node.GetImageData()
    scalars = image.GetPointData().GetScalars() if image is not None else None
    if image is not None and scalars is None and image.GetPointData().GetTensors() is not None:
        raise InputError(
            f"'{name}' is a diffusion tensor image.",
            "Each of its voxels is a tensor, not a number.",
            "Compute a scalar map from it first (fractional anisotropy, mean diffusivity), and choose that.",
        )
    if scalars is None or scalars.GetNumberOfTuples() == 0:
        raise InputError(
            f"The image '{name}' is empty.", "It holds no voxels.", "Load the image again, or choose another one."
        )
    array = voxels(scalars, image.GetDimensions(), name)
    identifier = identifier or (node.GetID() or "")
    notes = (SYNTHETIC,) if node.GetAttribute(SYNTHETIC_KEY) else ()
    return Volume(array, to_world @ own_affine(node), name, modality, identifier, notes, date_of_node(node))


def own_affine(node: Any) -> Affine:
    """(i, j, k, 1) of a volume node's array to the node's own RAS coordinates, without its parent transforms."""
    matrix = vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    affine = array_from_matrix(matrix)
    # Voxel (0, 0, 0) of the array is the first of the extent, which need not begin at zero.
    affine[:3, 3] += affine[:3, :3] @ np.array(node.GetImageData().GetExtent()[0::2], dtype=np.float64)
    return affine


def voxels(scalars: vtkDataArray, dimensions: tuple[int, int, int], name: str) -> NDArray[np.generic]:
    """View of a VTK array as (K, J, I) or (K, J, I, C).

    Raises
    ------
    InputError
        When the array holds bits, which numpy cannot view.
    """
    if scalars.GetDataType() == VTK_BIT:
        raise InputError(
            f"The image '{name}' stores single bits.",
            "Eight voxels share one byte, so they cannot be read one by one.",
            "Convert it to 'unsigned char' first (module Cast Scalar Volume), then try again.",
        )
    shape: tuple[int, ...] = tuple(reversed(dimensions))
    components = scalars.GetNumberOfComponents()
    return np.asarray(vtk_to_numpy(scalars)).reshape(shape if components == 1 else (*shape, components))


def _modality(node: Any) -> str:
    found = node.GetAttribute("DICOM.Modality")
    scene = node.GetScene()
    if not found and scene is not None and (hierarchy := scene.GetSubjectHierarchyNode()) is not None:
        item = hierarchy.GetItemByDataNode(node)
        found = hierarchy.GetItemAttribute(item, "DICOM.Modality") if item else ""
    return found or ""


def image_from_array(array: NDArray[np.generic], image: vtkImageData | None = None) -> vtkImageData:
    """VTK image with a copy of the voxels, owned by VTK.

    Parameters
    ----------
    array : ndarray, shape (K, J, I) or (K, J, I, C)
        Any strides; types that VTK lacks (bool, half precision) become the nearest it has.
    image : vtkImageData, optional
        Filled in place of a new one. Its spacing, origin and directions stay.
    """
    target = image if image is not None else vtkImageData()
    k, j, i = array.shape[:3]
    target.SetDimensions(i, j, k)
    replaced: dict[str, np.dtype[Any]] = {"?": np.dtype(np.uint8), "e": np.dtype(np.float32)}
    dtype = replaced.get(array.dtype.char, array.dtype.newbyteorder("="))
    target.GetPointData().SetScalars(_owned(np.array(array, dtype=dtype, order="C")))
    return target


def _owned(array: NDArray[np.generic]) -> vtkDataArray:
    """VTK array over the memory of `array` (K, J, I[, C]), which it keeps alive as long as it lives itself.

    numpy asks the system for large pages, VTK does not: on fresh memory copying with numpy takes a quarter of the time.
    """
    scalars = vtkDataArray.CreateDataArray(get_vtk_array_type(array.dtype))
    scalars.SetNumberOfComponents(array.shape[3] if array.ndim == 4 else 1)
    flat = array.reshape(-1)
    scalars.SetVoidArray(flat, flat.size, 1)  # 1: VTK must not free it
    scalars.SetName("ImageScalars")
    # An observer lives exactly as long as the C++ array; the Python object in front of it ends much sooner. This one
    # waits for an event that nobody sends. It is a method of numpy's, because Python's garbage collection, which sees
    # observers, could empty a closure or a partial whose memory is still in use.
    keep: Any = flat.tobytes
    scalars.AddObserver(vtkCommand.UserEvent + _NEVER, keep)
    return scalars


def fill_volume_node(node: Any, array: NDArray[np.generic], ijk_to_ras: Affine) -> None:
    """Give a volume node a copy of `array` and its place in the node's own RAS coordinates."""
    node.SetIJKToRASMatrix(matrix_from_array(ijk_to_ras))
    node.SetAndObserveImageData(image_from_array(array))


def class_of_volume(volume: Volume) -> str:
    """MRML class that shows `volume` best.

    Several components make a vector volume. Whole numbers that DICOM would call a segmentation make a label map.
    """
    if volume.channels > 1:
        return "vtkMRMLVectorVolumeNode"
    if volume.modality == "SEG" and volume.array.dtype.kind in "biu":
        return "vtkMRMLLabelMapVolumeNode"
    return "vtkMRMLScalarVolumeNode"
