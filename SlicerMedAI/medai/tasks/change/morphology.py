"""Masks grown, shrunk, cleaned and taken apart, in millimetres. SimpleITK does the work; arrays are (K, J, I)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medai.volume import Volume

Mask = NDArray[np.bool_]


def image_of(values: NDArray[Any], volume: Volume) -> Any:
    """A SimpleITK image with the spacing of a volume; distances in it are millimetres."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(values.astype(np.uint8) if values.dtype == bool else values))
    image.SetSpacing(volume.spacing)
    return image


def smoothed(values: NDArray[Any], volume: Volume, sigma_mm: float) -> NDArray[np.float32]:
    """Gaussian smoothing."""
    import SimpleITK as sitk

    image = image_of(values.astype(np.float32), volume)
    if sigma_mm < 5:  # the recursive filter is exact for wide ones only
        variance = [sigma_mm**2] * 3
        return np.asarray(sitk.GetArrayFromImage(sitk.DiscreteGaussian(image, variance, 64, 0.01, True)))
    return np.asarray(sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(image, sigma_mm)))


def sharpness(values: NDArray[np.float32], volume: Volume) -> NDArray[np.float32]:
    """Magnitude of the gradient, per mm."""
    import SimpleITK as sitk

    return np.asarray(sitk.GetArrayFromImage(sitk.GradientMagnitude(image_of(values, volume))))


def moved_edge(mask: Mask, volume: Volume, mm: float) -> Mask:
    """A mask grown by some millimetres; shrunk by a negative number."""
    import SimpleITK as sitk

    if not mask.any() or mask.all():
        return mask
    distance = sitk.SignedMaurerDistanceMap(image_of(mask, volume), False, False, True)
    return np.asarray(sitk.GetArrayFromImage(distance) <= mm)


def filled(mask: Mask) -> Mask:
    """Without holes."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    return np.asarray(sitk.GetArrayFromImage(sitk.BinaryFillhole(image)).astype(bool))


def pieces(mask: Mask, *, corners: bool = False) -> NDArray[np.int64]:
    """Connected pieces, numbered from 1, the largest first; 0 outside.

    Parameters
    ----------
    mask : ndarray of bool
    corners : bool
        Whether voxels that touch at an edge or a corner only are connected too.
    """
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    found = sitk.RelabelComponent(sitk.ConnectedComponent(image, corners), 0, True)
    return np.asarray(sitk.GetArrayFromImage(found), dtype=np.int64)


def otsu(values: NDArray[np.float32]) -> float:
    """Otsu's threshold between the dark and the bright of any number of values."""
    import SimpleITK as sitk

    method = sitk.OtsuThresholdImageFilter()
    method.SetNumberOfHistogramBins(128)
    method.Execute(sitk.GetImageFromArray(np.ascontiguousarray(values, dtype=np.float32).reshape(1, 1, -1)))
    return float(method.GetThreshold())
