"""How many bytes each way of merging and inverting takes, so that one can be chosen before it begins."""

from __future__ import annotations

import math
from collections.abc import Sequence

_FLOAT = 4
_DOUBLE = 8
_SCRATCH = 64 << 20  # interpolated values and indices, taken in pieces of a fixed size


def window_bytes(channels: int, roi: Sequence[int], batch: int = 1) -> int:
    """The network's output for `batch` windows; what the network itself needs on the way is not in it."""
    return batch * channels * math.prod(roi) * _FLOAT


def tile_bytes(channels: int, depth: int, plane: Sequence[int], *, interpolated: bool) -> int:
    """A sweep: the planes it holds, and what one plane takes on its way to labels.

    Parameters
    ----------
    channels : int
        Of the network's output.
    depth : int
        A window's size along the swept axis.
    plane : sequence of int
        Size of the tile across it.
    interpolated : bool
        Whether labels lie between the model's voxels.
    """
    voxels = math.prod(plane)
    held = (depth + 1) * (channels + 1)
    at_work = channels * (3 if interpolated else 1) + 8
    return (held + at_work) * voxels * _FLOAT + _SCRATCH


def whole_bytes(
    channels: int, model: Sequence[int], image: Sequence[int], *, interpolated: bool, activated: bool
) -> int:
    """What MONAI's own inferer and Invertd take at their peak, beyond the input and the network itself.

    Parameters
    ----------
    channels : int
        Of the network's output.
    model, image : sequence of int
        Sizes of the two grids; no image where nothing is inverted.
    interpolated : bool
        Whether Invertd resamples: it does so in double precision.
    activated : bool
        Whether an activation is computed on the model's grid.
    """
    before, after = math.prod(model) * channels, math.prod(image) * channels if image else 0
    merged = before * _FLOAT * (2 if activated else 1)
    if not interpolated:
        return max(merged, (before + after) * _FLOAT)
    coordinates = math.prod(image) * len(image) * _DOUBLE
    return max(merged, before * (_FLOAT + _DOUBLE) + after * (_DOUBLE + _FLOAT) + coordinates)
