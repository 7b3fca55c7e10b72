"""Where the voxels of one grid lie between the voxels of another, axis by axis.

Everything a preprocessing does to a grid, short of rotating it, keeps its axes apart: reorienting, cropping, padding,
resampling. So one table per axis says it all, and its size is that of an edge, not that of the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medai.engine.streaming.errors import NotStreamableError

NOTHING = -1
"""In place of an index: there is no voxel here, its value is 0."""

_ROUNDING = 1e-9

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class AxisMap:
    """Where the voxels along one axis of a grid lie along one axis of the model's grid.

    Parameters
    ----------
    source : int
        The model's axis.
    low, high : ndarray of int, shape (N,)
        The two neighbours on the model's axis, `NOTHING` where there is none; equal where the voxel lies on one.
    weight : ndarray of float, shape (N,)
        Weight of `high`, 0 to below 1; that of `low` is one minus this.
    """

    source: int
    low: Index
    high: Index
    weight: NDArray[np.float64]

    @classmethod
    def identity(cls, source: int, size: int) -> AxisMap:
        """Every voxel is one of the model's."""
        index = np.arange(size)
        return cls(source, index, index, np.zeros(size))

    def __len__(self) -> int:
        return len(self.low)

    @property
    def exact(self) -> bool:
        """Whether no voxel lies between two."""
        return not self.weight.any()

    @property
    def filled(self) -> tuple[int, int]:
        """Start and stop of the voxels that have a value of the model's; equal when none has."""
        known = np.flatnonzero((self.low != NOTHING) | (self.high != NOTHING))
        return (int(known[0]), int(known[-1]) + 1) if len(known) else (0, 0)

    def part(self, start: int, stop: int) -> AxisMap:
        """The same for the voxels from `start` up to `stop`."""
        return replace(self, low=self.low[start:stop], high=self.high[start:stop], weight=self.weight[start:stop])

    def reach(self) -> tuple[int, int]:
        """Start and stop of the model's voxels that are needed."""
        needed = np.concatenate([self.low, self.high])
        needed = needed[needed != NOTHING]
        return (int(needed.min()), int(needed.max()) + 1) if len(needed) else (0, 0)

    def take(self, index: Index) -> AxisMap:
        """The map of a grid whose voxel n is this one's voxel ``index[n]``; beyond its ends there is nothing."""
        inside = (index >= 0) & (index < len(self))
        at = np.where(inside, index, 0)
        low, high = (np.where(inside, table[at], NOTHING) for table in (self.low, self.high))
        return AxisMap(self.source, low, high, np.where(inside, self.weight[at], 0.0))

    def between(self, coordinates: NDArray[np.float64]) -> AxisMap:
        """The map of a grid whose voxel n lies at ``coordinates[n]`` on this one, all within its ends.

        Raises
        ------
        NotStreamableError
            When this map already lies between voxels: one interpolation of another is not kept apart.
        """
        below = np.floor(coordinates + _ROUNDING)
        weight = coordinates - below
        weight[np.abs(weight) <= _ROUNDING] = 0.0
        low = self.take(below.astype(np.int64))
        if not weight.any():
            return low
        if not self.exact:
            raise NotStreamableError("its preprocessing interpolates twice along one axis")
        high = self.take(np.where(weight > 0, below + 1, below).astype(np.int64))
        # Behind a flip the upper neighbour has the lower index.
        swapped = (low.low > high.low) & (high.low != NOTHING)
        first, last = np.where(swapped, high.low, low.low), np.where(swapped, low.low, high.low)
        return AxisMap(self.source, first, last, np.where(swapped, 1 - weight, weight))


@dataclass(frozen=True, eq=False)
class GridMap:
    """Where the voxels of a grid lie on the model's grid.

    Parameters
    ----------
    axes : sequence of AxisMap
        One per axis of the grid, each with another axis of the model's as its source.
    affine : ndarray, shape (D + 1, D + 1)
        Indices of the grid to patient space, as MONAI tracks it.
    """

    axes: tuple[AxisMap, ...]
    affine: NDArray[np.float64]

    @classmethod
    def identity(cls, shape: Sequence[int], affine: NDArray[np.float64]) -> GridMap:
        """The model's own grid."""
        return cls(tuple(AxisMap.identity(axis, size) for axis, size in enumerate(shape)), affine)

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of the grid."""
        return tuple(len(axis) for axis in self.axes)

    @property
    def exact(self) -> bool:
        """Whether every voxel is one of the model's."""
        return all(axis.exact for axis in self.axes)

    def shifted(self, starts: Sequence[int], shape: Sequence[int]) -> GridMap:
        """A crop (starts above 0) or a zero padding (below 0) of this grid."""
        axes = (axis.take(np.arange(start, start + n)) for axis, start, n in zip(self.axes, starts, shape, strict=True))
        return GridMap(tuple(axes), self.affine @ _scaling([1.0] * len(shape), starts))

    def flipped(self, flips: Sequence[bool]) -> GridMap:
        """This grid counted from its other end along some axes."""
        ahead = (np.arange(len(axis)) for axis in self.axes)
        orders = (order[::-1] if flip else order for order, flip in zip(ahead, flips, strict=True))
        axes = (axis.take(order) for axis, order in zip(self.axes, orders, strict=True))
        scales = [-1.0 if flip else 1.0 for flip in flips]
        offsets = [n - 1 if flip else 0 for n, flip in zip(self.shape, flips, strict=True)]
        return GridMap(tuple(axes), self.affine @ _scaling(scales, offsets))

    def transposed(self, order: Sequence[int]) -> GridMap:
        """This grid with its axes in another order: axis n is this one's axis ``order[n]``."""
        matrix = np.eye(len(order) + 1)
        matrix[:-1, :-1] = np.eye(len(order))[:, list(order)]
        return GridMap(tuple(self.axes[axis] for axis in order), self.affine @ matrix)

    def between(
        self, coordinates: Sequence[NDArray[np.float64]], scales: Sequence[float], offsets: Sequence[float]
    ) -> GridMap:
        """A grid whose voxels lie at `coordinates` along this one's axes; its affine follows `scales` and `offsets`."""
        axes = (axis.between(at) for axis, at in zip(self.axes, coordinates, strict=True))
        return GridMap(tuple(axes), self.affine @ _scaling(scales, offsets))


def _scaling(scales: Sequence[float], offsets: Sequence[float]) -> NDArray[np.float64]:
    matrix = np.diag([*map(float, scales), 1.0])
    matrix[:-1, -1] = offsets
    return matrix
