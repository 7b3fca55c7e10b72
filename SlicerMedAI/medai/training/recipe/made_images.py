"""Where the images of a generator are, and on which scale: like a typical image of the data."""

from __future__ import annotations

from dataclasses import dataclass

from medai.training.data.report import ImageSummary
from medai.training.parameters import TrainingParameters

_NEARLY_ALL = 2.576
"""Standard deviations around the mean within which 99 % of a normal distribution lie."""
_FINE = 64
"""So many steps look smooth; a coarser scale is one of fractions."""


PIXELS_ASSUMED = (
    "The size of the pixels (1 mm) is assumed: the pictures that the model learned from have none. Measure nothing."
)


@dataclass(frozen=True)
class Scene:
    """Parameters
    ----------
    low, high : float
        Intensities that the darkest and the brightest voxels get.
    dtype : str
        ``"uint8"``, ``"int16"`` or ``"float32"``.
    affine : tuple of tuple of float, 4 x 4
        Of the network's output: (i, j, k, 1) to RAS mm, with the middle of the image at 0.
    assumed : bool
        Whether the size of its pixels is assumed, 1 mm along the shorter edge, since the pictures have none.
    """

    low: float
    high: float
    dtype: str
    affine: tuple[tuple[float, ...], ...]
    assumed: bool = False


def scene_of(images: ImageSummary, parameters: TrainingParameters) -> Scene:
    """From the check of the data and what was decided.

    Parameters
    ----------
    images : ImageSummary
    parameters : TrainingParameters
        With a patch size.
    """
    if parameters.normalization == "ct_window":
        low, high = parameters.window
    else:
        mean, spread = images.mean.median, _NEARLY_ALL * images.std.median
        low, high = max(images.minimum.median, mean - spread), min(images.maximum.median, mean + spread)
    whole = high - low >= _FINE and max(abs(low), abs(high)) < 2**15
    dtype = ("uint8" if low >= 0 and high <= 255 else "int16") if whole else "float32"
    # What has no spacing is read as 1 mm; a picture made smaller would seem to show more than any scanner does.
    assumed = len(parameters.patch_size or ()) == 2 and all(axis.low == axis.high == 1 for axis in images.spacing[:2])
    return Scene(round(low, 4), round(high, 4), dtype, _affine(images, parameters, assumed=assumed), assumed)


def _affine(images: ImageSummary, parameters: TrainingParameters, *, assumed: bool) -> tuple[tuple[float, ...], ...]:
    patch = parameters.patch_size or ()
    if len(patch) == 3:
        spacing = list(parameters.spacing or (1.0, 1.0, 1.0))
        signs = (1, 1, 1)
    else:
        sizes = [images.size[axis].median * images.spacing[axis].median for axis in range(2)]
        sizes = [max(sizes)] * 2 if len(set(patch)) == 1 else sizes
        steps = [size / edge for size, edge in zip(sizes, patch, strict=True)]
        spacing = [round(step / min(steps) if assumed else step, 4) for step in steps] + [1.0]
        signs = (-1, -1, 1)  # the rows of a picture go down, its columns to the patient's left
    rows = []
    for axis in range(3):
        step = signs[axis] * spacing[axis]
        middle = -step * ((*patch, 1)[axis] - 1) / 2
        rows.append((*(step if n == axis else 0.0 for n in range(3)), middle))
    return (*rows, (0.0, 0.0, 0.0, 1.0))
