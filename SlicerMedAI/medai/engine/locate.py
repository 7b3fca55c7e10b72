"""Find where in a larger image the structures are that a model was trained on crops of.

A bundle may bring a *region template*: the mean appearance of its training crops. Normalised cross-correlation of that
template (and of its mirror image, for paired structures) with the image finds the crop's place. Masked normalised
cross-correlation through the Fourier transform: Padfield, IEEE Trans. Image Process. 21(5), 2012, as in SimpleITK.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medai.engine.region_template import RegionTemplate, Side
from medai.engine.resample import resample
from medai.errors import InputError
from medai.volume import Region, Volume, apply_affine, corners


@dataclass(frozen=True, eq=False)
class _Peak:
    score: float
    center: NDArray[np.float64]


def locate(volume: Volume, template: RegionTemplate) -> tuple[Region, ...]:
    """Regions of `volume` that look like the template, one per side.

    Parameters
    ----------
    volume : Volume
        Scalar image in any orientation; the patient's axes must be about those of RAS (within about 15 degrees).
    template : RegionTemplate
        What to look for.

    Returns
    -------
    tuple of Region
        RAS mm, axis-aligned, named after the sides.

    Raises
    ------
    InputError
        When no places resemble the template well enough at a plausible distance from each other.
    """
    coarse = _on_template_grid(volume, template.image.spacing[0])
    candidates = [_peaks(coarse, template, side) for side in template.sides]
    plausible = [peaks for peaks in itertools.product(*candidates) if _plausible(peaks, template.distance_mm)]
    best = max(plausible, key=_mean_score, default=())
    if not best or _mean_score(best) < template.min_score:
        found = f"the best match is {_mean_score(best):.2f}" if best else "no match is plausible"
        raise InputError(
            f"The structure could not be found in '{volume.name}'.",
            f"No place in it resembles what the model was trained on ({found}, {template.min_score:.2f} is needed).",
            "Check that this is the right kind of image, or draw a region around the structure yourself.",
        )
    size = np.array(template.size_mm)
    return tuple(Region(peak.center, size, name=side.name) for side, peak in zip(template.sides, best, strict=True))


def _on_template_grid(volume: Volume, spacing: float) -> Volume:
    """The whole image on RAS axes at the template's spacing, tissue scaled to 0..1, float32."""
    box = corners(volume.affine, volume.shape)
    i, j, k = np.ceil(np.ptp(box, axis=0) / spacing).astype(int) + 1
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = box.min(axis=0)
    moved = resample(volume, affine, (int(k), int(j), int(i)))
    # Air fills most of a head scan and would decide the percentiles.
    tissue = moved.array[moved.array > moved.array.mean() * 0.2]
    bottom, top = np.percentile(tissue if tissue.size else moved.array, [0.5, 99.5])
    scaled = np.clip((moved.array - bottom) / max(float(top - bottom), 1e-6), 0, 1)
    return replace(moved, array=scaled.astype(np.float32))


def _peaks(coarse: Volume, template: RegionTemplate, side: Side, count: int = 8) -> list[_Peak]:
    """The best places for one side, best first, at least half a region apart."""
    import SimpleITK as sitk  # here, so that opening a panel does not load it

    step = -1 if side.mirrored else 1
    fixed = sitk.GetImageFromArray(coarse.array)
    moving = sitk.GetImageFromArray(np.ascontiguousarray(template.image.array[:, :, ::step], dtype=np.float32))
    mask = sitk.GetImageFromArray(np.ascontiguousarray(template.mask[:, :, ::step]).astype(np.float32))
    everywhere = sitk.Image(fixed.GetSize(), sitk.sitkFloat32) + 1
    # Places where the template hangs over the image's edge correlate by chance.
    scores = sitk.GetArrayFromImage(sitk.MaskedFFTNormalizedCorrelation(fixed, moving, everywhere, mask, 0, 0.9))
    # The full correlation map is larger than the image by the template's size minus one.
    offset = (np.array(moving.GetSize()) - 1) / 2
    apart = [max(n // 4, 1) for n in moving.GetSize()[::-1]]
    peaks = []
    for _ in range(count):
        index = np.unravel_index(int(scores.argmax()), scores.shape)
        center = apply_affine(coarse.affine, (np.array(index[::-1]) - offset)[np.newaxis])[0]
        peaks.append(_Peak(float(scores[index]), center))
        scores[tuple(slice(max(n - a, 0), n + a + 1) for n, a in zip(index, apart, strict=True))] = -1
    return peaks


def _mean_score(peaks: Sequence[_Peak]) -> float:
    return float(np.mean([peak.score for peak in peaks]))


def _plausible(peaks: Sequence[_Peak], distance_mm: tuple[float, float]) -> bool:
    """Whether all instances lie beside each other: far enough along R, and at about the same height and depth."""
    least, greatest = distance_mm
    steps = [b.center - a.center for a, b in itertools.pairwise(peaks)]
    return all(least <= r <= greatest and max(abs(a), abs(s)) <= least / 2 + 5 for r, a, s in steps)
