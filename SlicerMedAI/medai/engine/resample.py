"""Put an image onto another grid, in physical space."""

from __future__ import annotations

import numpy as np

from medai.volume import Affine, Volume


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
    import SimpleITK as sitk  # here, so that opening a panel does not load it

    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.array, dtype=np.float32))
    to_index = np.linalg.inv(volume.affine) @ affine
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(to_index[:3, :3].ravel())
    transform.SetTranslation(to_index[:3, 3])
    grid = sitk.Image([int(n) for n in reversed(shape)], sitk.sitkFloat32)
    value = float(volume.array.min()) if outside is None else outside
    moved = sitk.Resample(image, grid, transform, sitk.sitkLinear, value, sitk.sitkFloat32)
    return Volume(sitk.GetArrayFromImage(moved), affine, volume.name, volume.modality, volume.id)
