"""Put an image onto another grid, in physical space."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from medai.volume import Affine, Volume

_MOST = 8  # places per voxel and axis


def resample(volume: Volume, affine: Affine, shape: tuple[int, int, int], *, outside: float | None = None) -> Volume:
    """Linear interpolation of a scalar image onto a grid.

    Both images are treated as plain index grids and all geometry goes into one affine transform, because SimpleITK's
    direction matrices cannot hold shear.

    Parameters
    ----------
    volume : Volume
        Scalar image, (K, J, I).
    affine : ndarray, shape (4, 4)
        (i, j, k) to RAS mm of the target grid.
    shape : tuple of int
        (K, J, I) of the target grid.
    outside : float, optional
        Value beyond the image; its minimum by default.

    Returns
    -------
    Volume
        float32, on the target grid.
    """
    value = float(volume.array.min()) if outside is None else outside
    moved = _interpolated(np.asarray(volume.array, np.float32), np.linalg.inv(volume.affine) @ affine, shape, value)
    return Volume(moved, affine, volume.name, volume.modality, volume.id, date=volume.date)


def resample_whole(
    volume: Volume, affine: Affine, shape: tuple[int, int, int]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A scalar image onto a grid that may be coarser: each voxel the mean of all that it covers.

    `resample` looks at one place per voxel; on a coarser grid noise and edges would stay as they were in the finer
    image, and differ from those of an image that was acquired that coarsely.

    Parameters
    ----------
    volume, affine, shape
        As for `resample`. What is no number counts as the lowest number.

    Returns
    -------
    ndarray of float32, shape (K, J, I)
        Beyond the image, its lowest value.
    ndarray of bool, shape (K, J, I)
        Voxels whose centre lies within the image.
    """
    values = np.asarray(volume.array, dtype=np.float32)
    valid = np.isfinite(values)
    low = float(values[valid].min()) if valid.any() else 0.0
    values = np.where(valid, values, low)
    to_index = np.linalg.inv(volume.affine) @ affine
    # Voxels of the image per voxel of the grid, along each axis of the grid: as many places are looked at, evenly.
    counts = np.clip(np.ceil(np.abs(to_index[:3, :3]).max(axis=0) - 0.05), 1, _MOST).astype(int)
    offsets = [[(n + 0.5) / count - 0.5 for n in range(count)] for count in counts]
    total = np.zeros(shape, dtype=np.float32)
    for offset in product(*offsets):
        shifted = to_index.copy()
        shifted[:3, 3] += to_index[:3, :3] @ np.array(offset)
        total += _interpolated(values, shifted, shape, low)
    inside = _interpolated(np.ones(values.shape, np.float32), to_index, shape, 0.0, nearest=True) > 0
    return total / np.float32(counts.prod()), inside


def _interpolated(
    values: NDArray[np.float32], to_index: Affine, shape: tuple[int, int, int], outside: float, *, nearest: bool = False
) -> NDArray[np.float32]:
    import SimpleITK as sitk  # here, so that opening a panel does not load it

    image = sitk.GetImageFromArray(np.ascontiguousarray(values))
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(to_index[:3, :3].ravel())
    transform.SetTranslation(to_index[:3, 3])
    grid = sitk.Image([int(n) for n in reversed(shape)], sitk.sitkFloat32)
    kind = sitk.sitkNearestNeighbor if nearest else sitk.sitkLinear
    moved = sitk.Resample(image, grid, transform, kind, outside, sitk.sitkFloat32)
    return np.asarray(sitk.GetArrayFromImage(moved))
