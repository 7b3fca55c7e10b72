"""What of an image is patient and not air, and how much two images have in common there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medai.engine.resample import resample_whole
from medai.tasks.change.morphology import Mask, filled, moved_edge, otsu, pieces, smoothed
from medai.volume import Affine, Volume, apply_affine

_POINTS = 200_000
_BINS = 32
_BRAIN_ML = (500.0, 2200.0)
_BRIDGE_MM = 4.0  # vessels and nerves between brain and scalp are thinner than twice this


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


def foreground(volume: Volume) -> Mask:
    """Voxels that are no air, shape (K, J, I): above Otsu's threshold of the smoothed image, holes filled."""
    values = finite(volume)
    low, high = np.percentile(values, (1, 99))  # one bright implant would be all the foreground otherwise
    smooth = smoothed(np.clip(values, low, high), volume, max(volume.spacing))
    return filled(smooth > otsu(smooth))


def brain(volume: Volume) -> Mask | None:
    """The brain of an image of a head: its bright soft tissue inside the dark skull; None where there is none.

    Tissue is cut from the scalp by an erosion, and its largest piece, grown back and closed, is the brain: the spaces
    around it are left out, which is as well, for nothing is a lesion there. Meant to tell where change can be looked
    for, not to measure a brain.
    """
    values = smoothed(finite(volume), volume, 1.0)
    values = np.minimum(values, np.percentile(values, 99.5))
    patient = values > otsu(values)
    if not patient.any():
        return None
    usual = float(np.median(values[patient]))
    core = pieces(moved_edge(values > 0.5 * usual, volume, -_BRIDGE_MM)) == 1
    grown = moved_edge(core, volume, _BRIDGE_MM + 1) & (values > 0.25 * usual)
    closed = filled(moved_edge(moved_edge(grown, volume, 6.0), volume, -6.0))
    size = closed.sum() * volume.voxel_volume_ml
    inside = size < 0.8 * filled(patient).sum() * volume.voxel_volume_ml  # a head has more than its brain
    return closed if inside and _BRAIN_ML[0] <= size <= _BRAIN_ML[1] else None


def finite(volume: Volume) -> NDArray[np.float32]:
    """Voxels in single precision; what is no number becomes the lowest number."""
    values = np.asarray(volume.array, dtype=np.float32)
    valid = np.isfinite(values)
    return values if valid.all() else np.where(valid, values, values[valid].min())


def places(volume: Volume, mask: Mask) -> NDArray[np.float64]:
    """RAS mm of (at most about 200 000, evenly chosen) voxels of a mask, shape (N, 3)."""
    k, j, i = np.nonzero(mask)
    points = np.stack([i, j, k], axis=1)[:: max(1, len(k) // _POINTS)]
    return apply_affine(volume.affine, points.astype(np.float64))


def shared_information(fixed: Volume, moving: Volume, matrix: Affine, patient: Mask) -> Likeness:
    """How like `fixed` an image is that a motion brings to it, within the patient in `fixed`."""
    values, inside = resample_whole(moving, matrix @ fixed.affine, fixed.shape)
    both = patient & inside
    count = int(both.sum())
    if count < 100:
        return Likeness(0.0, 0.0)
    joint, _, _ = np.histogram2d(_within_percentiles(finite(fixed)[both]), _within_percentiles(values[both]), _BINS)
    joint /= count
    entropies = _entropy(joint.sum(axis=1)), _entropy(joint.sum(axis=0))
    chance = (_BINS - 1) ** 2 / (2 * count)  # by Miller's bias noise seems to share this much
    mutual = sum(entropies) - _entropy(joint.ravel()) - chance
    return Likeness(max(0.0, mutual / max(min(entropies), 1e-9)), count / max(int(patient.sum()), 1))


def _within_percentiles(values: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = np.percentile(values, (1, 99))
    return np.asarray(np.clip(values, low, max(high, low + 1e-6)))


def _entropy(shares: NDArray[np.float64]) -> float:
    known = shares[shares > 0]
    return float(-(known * np.log(known)).sum())
