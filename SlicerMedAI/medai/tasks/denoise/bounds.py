"""How far a denoiser may go: no voxel becomes brighter or darker than all that is around it."""

from __future__ import annotations

from functools import reduce

import numpy as np
from numpy.typing import NDArray

RADIUS = 2
"""Voxels along each axis that count as around: 125 of them hold values on both sides of what noise hides."""
_SLAB = 16


def within_neighbours(image: NDArray[np.floating], noise: NDArray[np.floating]) -> NDArray[np.floating]:
    """The noise, less of it where a voxel would leave the range of its neighbours without it.

    What a network makes of an image unlike all that it has learned from has no bounds: beside the edge of a field of
    view, of metal, or of a pattern it may find noise of a hundred times the image's own.

    Parameters
    ----------
    image : ndarray of floats, shape (K, J, I) or (K, J, I, C)
    noise : ndarray of floats, the same shape
        What is to be taken away.

    Returns
    -------
    ndarray of floats, the same shape
        `noise` itself wherever `image` - `noise` lies between the least and the greatest value of the image in the 5 x
        5 x 5 voxels around.
    """
    held = np.empty_like(noise)
    for start in range(0, len(image), _SLAB):
        first = max(start - RADIUS, 0)
        values = image[first : start + _SLAB + RADIUS]
        own = slice(start - first, start - first + _SLAB)
        least, greatest = (_around(values, of)[own] for of in (np.minimum, np.maximum))
        there = slice(start, start + _SLAB)
        held[there] = image[there] - np.clip(image[there] - noise[there], least, greatest)
    return held


def _around(values: NDArray[np.floating], of: np.ufunc) -> NDArray[np.floating]:
    """The least or the greatest value around every voxel, axis by axis."""
    for axis in range(3):
        ends = [(RADIUS, RADIUS) if each == axis else (0, 0) for each in range(values.ndim)]
        padded = np.moveaxis(np.pad(values, ends, mode="edge"), axis, 0)
        shifted = (padded[n : n + values.shape[axis]] for n in range(2 * RADIUS + 1))
        values = np.moveaxis(reduce(of, shifted), 0, axis)
    return values
