"""Final planes of the model's grid become labels on the image's grid.

An interpolated value is an average of its neighbours' values. Where all neighbours have one label, every average of
them has it too, so only voxels between different labels are interpolated: a few in a hundred, instead of every voxel
times every class.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from medai.engine.streaming.axes import NOTHING, AxisMap
from medai.engine.streaming.reduction import Activation, Reduction

_VALUES_AT_ONCE = 1 << 21  # interpolated together: 16 MB, and a few times as much for their neighbours


@dataclass(frozen=True, eq=False)
class Plane:
    """One plane of the model's grid.

    Parameters
    ----------
    values : Tensor, shape (C, rows, columns)
        After the activations that come before an inversion.
    labels : Tensor, shape (L, image rows, image columns)
        Of each image voxel's lower neighbours in this plane.
    uniform : Tensor of bool, shape (image rows, image columns)
        Whether all its neighbours in this plane have that label.
    """

    values: torch.Tensor
    labels: torch.Tensor
    uniform: torch.Tensor


class Restorer:
    """Takes the planes of one tile in order and fills in the labels of its voxels.

    Parameters
    ----------
    axes : tuple of AxisMap
        Of the swept axis, the rows and the columns: the image's voxels this tile is to fill in, in the model's whole
        grid.
    origin : tuple of int
        Row and column of the tile's first voxel in the model's grid.
    labels : Tensor, shape (L, planes, rows, columns)
        Where they are written: the image's voxels of `axes`, in the model's order of axes.
    before, after : sequence of Activation
        On the model's values, and on the interpolated ones.
    reduction : Reduction
        Values to labels.
    device : torch.device
        Where the values are.
    """

    def __init__(
        self,
        axes: tuple[AxisMap, AxisMap, AxisMap],
        origin: tuple[int, int],
        labels: torch.Tensor,
        *,
        before: Sequence[Activation],
        after: Sequence[Activation],
        reduction: Reduction,
        device: torch.device,
    ) -> None:
        self._swept, *plane = axes
        self._neighbours = [_Neighbours(axis, first, device) for axis, first in zip(plane, origin, strict=True)]
        self._labels = labels
        self._before = before
        self._after = after
        self._reduction = reduction
        self._last: tuple[int, Plane] | None = None
        self._due = defaultdict(list)
        for number, pair in enumerate(zip(self._swept.low.tolist(), self._swept.high.tolist(), strict=True)):
            self._due[max(pair)].append(number)

    def take(self, number: int, values: torch.Tensor) -> None:
        """Take the next plane.

        Parameters
        ----------
        number : int
            Its place along the swept axis of the model's grid.
        values : Tensor, shape (C, rows, columns)
            Changed in place; needed until the next but one is taken.
        """
        for activation in self._before:
            values.copy_(activation(values, 0))
        plane = self._plane(values)
        previous = self._last[1] if self._last is not None and self._last[0] == number - 1 else None
        for target in self._due[number]:
            low, high = int(self._swept.low[target]), int(self._swept.high[target])
            weight = float(self._swept.weight[target])
            parts = [(number_, share) for number_, share in ((low, 1 - weight), (high, weight)) if share]
            known = {number: plane, number - 1: previous}
            found = self._between([(known.get(at), share) for at, share in parts])
            self._labels[:, target] = found.to(self._labels.device)
        self._last = (number, plane)

    def _plane(self, values: torch.Tensor) -> Plane:
        shown = values
        for activation in self._after:
            shown = activation(shown, 0)
        labels = self._reduction(shown, 0)
        rows, columns = self._neighbours
        if rows.exact and columns.exact:
            labels = columns.choose(rows.choose(labels, 1, upper=False), 2, upper=False)
            return Plane(values, labels, torch.ones(labels.shape[1:], dtype=torch.bool, device=labels.device))
        # Beyond the model's grid all values are 0, whose label in an average is nobody's.
        outside = torch.iinfo(labels.dtype).max
        framed = functional.pad(labels, (0, 1, 0, 1), value=outside)
        corners = [
            columns.choose(rows.choose(framed, 1, upper=a), 2, upper=b) for a in (False, True) for b in (False, True)
        ]
        uniform = torch.stack([(corners[0] == other).all(0) for other in corners[1:]]).all(0)
        uniform &= (corners[0] != outside).all(0)
        return Plane(values, corners[0], uniform)

    def _between(self, parts: list[tuple[Plane | None, float]]) -> torch.Tensor:
        """Labels of one plane of the image between these planes of the model's; None stands for values of 0."""
        planes = [(plane, share) for plane, share in parts if plane is not None]
        first = planes[0][0]
        labels = first.labels
        certain = first.uniform if len(planes) == len(parts) else torch.zeros_like(first.uniform)
        for other, _ in planes[1:]:
            certain = certain & other.uniform & (labels == other.labels).all(0)
        doubtful = torch.nonzero(~certain.flatten()).flatten()
        if not len(doubtful):
            return labels
        labels = labels.clone()
        step = max(_VALUES_AT_ONCE // first.values.shape[0], 1)
        for part in doubtful.split(step):
            values = self._interpolated(planes, part)
            for activation in self._after:
                values = activation(values, 1)
            labels.flatten(1)[:, part] = self._reduction(values, 1).T
        return labels

    def _interpolated(self, planes: list[tuple[Plane, float]], voxels: torch.Tensor) -> torch.Tensor:
        """Values of some of the image's voxels, (N, C), by flat index in their plane."""
        rows, columns = self._neighbours
        row, column = torch.div(voxels, len(columns), rounding_mode="floor"), voxels % len(columns)
        width = planes[0][0].values.shape[2]
        nothing = planes[0][0].values[0].numel()
        places, shares = [], []
        for a, row_share in rows.of(row):
            for b, column_share in columns.of(column):
                outside = (a == NOTHING) | (b == NOTHING)
                places.append(torch.where(outside, nothing, a * width + b))
                shares.append(row_share * column_share)
        place, share = torch.stack(places, 1), torch.stack(shares, 1)
        # Only the voxels that are needed are brought from channels first to channels last.
        needed = torch.zeros(nothing + 1, dtype=torch.bool, device=voxels.device)
        needed[place.flatten()] = True
        needed[nothing] = True
        chosen = torch.nonzero(needed[:-1]).flatten()
        compact = torch.cumsum(needed, 0)[place] - 1
        parts = [_weighted(plane.values.flatten(1), chosen, compact, share * depth) for plane, depth in planes]
        return (parts[0] if len(parts) == 1 else parts[0].add_(parts[1])).float()


def _weighted(values: torch.Tensor, chosen: torch.Tensor, places: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Weighted sums, (N, C), of those `chosen` of the columns of `values`, by their number; the next one is 0."""
    table = values.index_select(1, chosen).T
    table = torch.cat([table, table.new_zeros(1, table.shape[1])]).to(shares.dtype)
    return functional.embedding_bag(places, table, mode="sum", per_sample_weights=shares)


class _Neighbours:
    """One axis of a tile's plane: where each image voxel's two neighbours lie in the tile."""

    def __init__(self, axis: AxisMap, first: int, device: torch.device) -> None:
        self.exact = axis.exact
        self._low, self._high = (
            torch.from_numpy(np.where(table == NOTHING, NOTHING, table - first)).to(device)
            for table in (axis.low, axis.high)
        )
        # As MONAI, in double precision where the device has it, so that rounding is the same as well.
        precise = torch.float32 if device.type == "mps" else torch.float64
        self._weight = torch.from_numpy(axis.weight.copy()).to(device, precise)

    def __len__(self) -> int:
        return len(self._low)

    def choose(self, planes: torch.Tensor, axis: int, *, upper: bool) -> torch.Tensor:
        """The neighbours' values along `axis`; the last one stands for nothing."""
        index = self._high if upper else self._low
        return planes.index_select(axis, torch.where(index == NOTHING, planes.shape[axis] - 1, index))

    def of(self, voxels: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Both neighbours of each voxel, with the weight of each."""
        weight = self._weight[voxels]
        return [(self._low[voxels], 1 - weight), (self._high[voxels], weight)]
