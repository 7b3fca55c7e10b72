"""What of an image is patient and not air, and how much two images have in common there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medai.engine.resample import resample_whole
from medai.volume import Affine, Volume, apply_affine

_POINTS = 200_000
_BINS = 32


@dataclass(frozen=True)
class Likeness:
    """How much two images have in common.

    Parameters
    ----------
    shared : float
        Mutual information over the smaller of both entropies, in the patient: 1 when one image tells all about the
        other, 0 when it tells nothing.
    overlap : float
        Share of the patient in the one image that lies within the other.
    """

    shared: float
    overlap: float


def foreground(volume: Volume) -> NDArray[np.bool_]:
    """Voxels that are no air, shape (K, J, I): above Otsu's threshold of the smoothed image, holes filled."""
    import SimpleITK as sitk

    values = finite(volume)
    low, high = np.percentile(values, (1, 99))  # one bright implant would be all the foreground otherwise
    image = sitk.GetImageFromArray(np.clip(values, low, high))
    image.SetSpacing(volume.spacing)
    smooth = sitk.SmoothingRecursiveGaussian(image, max(volume.spacing)) if min(volume.shape) >= 4 else image
    mask = sitk.OtsuThreshold(smooth, 0, 1, 128)
    return np.asarray(sitk.GetArrayFromImage(sitk.BinaryFillhole(mask)).astype(bool))


def finite(volume: Volume) -> NDArray[np.float32]:
    """Voxels in single precision; what is no number becomes the lowest number."""
    values = np.asarray(volume.array, dtype=np.float32)
    valid = np.isfinite(values)
    return values if valid.all() else np.where(valid, values, values[valid].min())


def places(volume: Volume, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """RAS mm of (at most about 200 000, evenly chosen) voxels of a mask, shape (N, 3)."""
    k, j, i = np.nonzero(mask)
    points = np.stack([i, j, k], axis=1)[:: max(1, len(k) // _POINTS)]
    return apply_affine(volume.affine, points.astype(np.float64))


def shared_information(fixed: Volume, moving: Volume, matrix: Affine) -> Likeness:
    """How like `fixed` an image is that a motion brings to it."""
    values, inside = resample_whole(moving, matrix @ fixed.affine, fixed.shape)
    patient = foreground(fixed)
    both = patient & inside
    count = int(both.sum())
    if count < 100:
        return Likeness(0.0, 0.0)
    joint, _, _ = np.histogram2d(_ranks(finite(fixed)[both]), _ranks(values[both]), bins=_BINS)
    joint /= count
    one, other = joint.sum(axis=1), joint.sum(axis=0)
    entropies = _entropy(one), _entropy(other)
    chance = (_BINS - 1) ** 2 / (2 * count)  # Miller's bias: noise seems to share this much
    mutual = sum(entropies) - _entropy(joint.ravel()) - chance
    return Likeness(max(0.0, mutual / max(min(entropies), 1e-9)), count / max(int(patient.sum()), 1))


def _ranks(values: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = np.percentile(values, (1, 99))
    return np.asarray(np.clip(values, low, max(high, low + 1e-6)))


def _entropy(shares: NDArray[np.float64]) -> float:
    known = shares[shares > 0]
    return float(-(known * np.log(known)).sum())
