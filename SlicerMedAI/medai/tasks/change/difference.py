"""What has changed between two aligned images, in standard deviations of what has not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medai.errors import NothingToSeeError
from medai.tasks.change.foreground import finite
from medai.tasks.change.morphology import Mask, sharpness, smoothed
from medai.volume import Volume

Values = NDArray[np.float32]

_NOISE_MM = 1.0  # single voxels are noise
_BIAS_MM = 15.0  # coils shade over several centimetres, lesions are smaller
_BINS = 50
_LEAST_VOXELS = 1000


def same_image(before: Volume, after: Volume) -> NothingToSeeError:
    """The refusal of an image that is compared with itself."""
    return NothingToSeeError(
        f"'{before.name}' and '{after.name}' are the same image.",
        "Not even their noise differs, so there is no measure for change.",
        "Choose images of two different visits.",
    )


@dataclass(frozen=True, eq=False)
class Difference:
    """After minus before.

    Parameters
    ----------
    deviations : ndarray of float32, shape (K, J, I)
        In standard deviations of unchanged tissue that is as sharp; 0 outside of the tissue.
    amount : ndarray of float32, shape (K, J, I)
        In standard deviations of the tissue's brightness, equally everywhere.
    before, after : ndarray of float32, shape (K, J, I)
        On one scale, slightly smoothed: 0 is the middle of the tissue and 1 its standard deviation.
    fluid : float
        On that scale, what is darker is no tissue (in an image whose fluid is dark).
    """

    deviations: Values = field(repr=False)
    amount: Values = field(repr=False)
    before: Values = field(repr=False)
    after: Values = field(repr=False)
    fluid: float


def difference(before: Volume, after: Volume, tissue: Mask) -> Difference:
    """Difference of two images on one grid after their intensities were made alike.

    1. The medians within the tissue are made equal. 2. Where the scanner shades one image otherwise than the other,
    the logarithm of their ratio varies slowly: it is smoothed over 15 mm, with what is beyond two deviations cut, and
    taken off (differential bias field; Lewis & Fox, NeuroImage 2004, doi 10.1016/j.neuroimage.2004.05.018). 3. The
    median of the difference at every mean brightness of both is taken off, which corrects any other change of contrast
    and treats both visits alike (Bland & Altman, Lancet 1986). Medians do not follow the few voxels that have changed.
    4. The difference is divided by what is usual (median absolute deviation, as a standard deviation) at places of the
    same sharpness: at edges the smallest misalignment makes a difference, in flat tissue only noise does.

    Parameters
    ----------
    before, after : Volume
        On the same grid.
    tissue : ndarray of bool, shape (K, J, I)
        Where to look; most of it must be unchanged.

    Raises
    ------
    NothingToSeeError
        When there is too little tissue, or no noise at all in it.
    """
    if tissue.sum() < _LEAST_VOXELS:
        raise NothingToSeeError(
            f"'{before.name}' and '{after.name}' cannot be compared.",
            f"Only {int(tissue.sum())} voxels show the same tissue at both visits.",
            "Choose images that show the same part of the patient, or a larger mask.",
        )
    new: Values = finite(after) - np.float32(_zero(after))
    old: Values = finite(before) - np.float32(_zero(before))
    old = np.asarray(old * np.float32(_middle(new, tissue) / _middle(old, tissue)))
    old = old * _shading(old, new, tissue, after)
    both = smoothed((old + new) / 2, after, _NOISE_MM)
    raw = smoothed(new - old, after, _NOISE_MM)
    level, usual = _binned(both[tissue], raw[tissue], np.median)
    offset = np.interp(both, level, usual).astype(np.float32)
    edges = sharpness(both, after)
    sharp, spread = _binned(edges[tissue], (raw - offset)[tissue], _deviation)
    spread = np.maximum.accumulate(spread)
    if not spread[0] > 0:
        raise same_image(before, after)
    deviations = np.where(tissue, (raw - offset) / np.interp(edges, sharp, spread), 0)
    middle = float(np.median(both[tissue]))
    bright = tissue & (both > middle / 2)
    scale = _deviation(both[bright])
    shown = [
        (smoothed(image, after, _NOISE_MM / 2) + share * offset - middle) / scale
        for image, share in ((old, 0.5), (new, -0.5))
    ]
    return Difference(
        deviations.astype(np.float32),
        np.where(tissue, (raw - offset) / scale, 0).astype(np.float32),
        shown[0].astype(np.float32),
        shown[1].astype(np.float32),
        -0.4 * middle / scale,
    )


def _zero(volume: Volume) -> float:
    """Intensity of air: ratios mean nothing on a scale that begins elsewhere, such as a CT's."""
    return min(0.0, float(finite(volume).min()))


def _middle(values: Values, tissue: Mask) -> float:
    return max(float(np.median(values[tissue])), 1e-6)


def _shading(old: Values, new: Values, tissue: Mask, grid: Volume) -> Values:
    """By how much one image is shaded otherwise than the other, as a factor."""
    floor = _middle(new, tissue) / 4
    sure = tissue & (old > floor) & (new > floor)
    if not sure.any():
        return np.ones_like(old)
    ratio = np.zeros_like(old)
    ratio[sure] = np.log(new[sure] / old[sure])
    usual, spread = float(np.median(ratio[sure])), _deviation(ratio[sure])
    ratio[sure] = np.clip(ratio[sure], usual - 2 * spread, usual + 2 * spread)
    weight = smoothed(sure, grid, _BIAS_MM)
    return np.asarray(np.exp(smoothed(ratio, grid, _BIAS_MM) / np.maximum(weight, 1e-3)))


def _binned(
    at: Values, values: Values, measure: Callable[[Any], Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A measure of the values, at equally filled steps of where they are."""
    edges = np.unique(np.quantile(at, np.linspace(0, 1, _BINS + 1)))
    if len(edges) < 3:
        return np.array([float(edges.mean())]), np.array([float(measure(values))])
    places = np.clip(np.searchsorted(edges, at, side="right") - 1, 0, len(edges) - 2)
    filled = np.unique(places)
    found = np.array([float(measure(values[places == n])) for n in filled])
    return (edges[1:] + edges[:-1])[filled] / 2, found


def _deviation(values: Values) -> float:
    """Standard deviation of the unchanged ones: 1.4826 times the median absolute deviation."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))
