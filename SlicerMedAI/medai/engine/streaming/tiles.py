"""Cut a sweep into tiles, each with less memory; windows that reach over a cut are computed once more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np

from medai.engine.streaming.axes import NOTHING, AxisMap
from medai.engine.streaming.estimate import tile_bytes, window_bytes
from medai.engine.streaming.windows import Windows

Span = tuple[int, int]


@dataclass(frozen=True)
class Cut:
    """One axis in parts.

    Parameters
    ----------
    parts : tuple of (int, int)
        Start and stop of each in the image's voxels.
    width : int
        The model's voxels that the widest part needs.
    windows : int
        How many places of windows along this axis all parts together need.
    """

    parts: tuple[Span, ...]
    width: int
    windows: int


def swept_axis(windows: Windows) -> int:
    """The axis to sweep along.

    The first, in which MONAI counts its windows, so that sums are MONAI's to the last bit; the second where that
    takes much less memory. Never the last: its planes are scattered in a window's memory.
    """
    rank = len(windows.size)
    planes = [(windows.roi[n] + 1) * np.prod(windows.size) / windows.size[n] for n in range(min(rank, 2))]
    return 1 if rank == 3 and planes[1] < 0.67 * planes[0] else 0


def cut(axes: Sequence[AxisMap], windows: Windows, channels: int, swept: int, budget: int) -> tuple[Cut, Cut]:
    """The cheapest way to cut the planes of a sweep so that it fits into memory.

    Parameters
    ----------
    axes : sequence of two AxisMap
        The rows and the columns of the image's voxels that are wanted.
    windows : Windows
        Of the model's grid.
    channels : int
        Of the network's output.
    swept : int
        The axis swept along.
    budget : int
        Bytes for the network's output and the planes.

    Returns
    -------
    tuple of two Cut
        As small as they can be when nothing fits.
    """
    depth = windows.roi[swept]
    left = budget - window_bytes(channels, windows.roi)
    interpolated = not all(axis.exact for axis in axes)
    choices = [_cuts(axis, windows) for axis in axes]

    def needed(pair: tuple[Cut, Cut]) -> int:
        return tile_bytes(channels, depth, (pair[0].width, pair[1].width), interpolated=interpolated)

    pairs = [(rows, columns) for rows, columns in product(*choices)]
    fitting = [pair for pair in pairs if needed(pair) <= left]
    if not fitting:
        return min(pairs, key=needed)
    return min(fitting, key=lambda pair: (pair[0].windows * pair[1].windows, needed(pair)))


def _cuts(axis: AxisMap, windows: Windows) -> list[Cut]:
    """One to many parts of one axis, cut where a window begins."""
    if axis.source >= len(windows.size):
        return [Cut(((0, 1),), 1, 1)]  # the missing axis of a two-dimensional image
    begin, end = axis.reach()
    places = [place for place in windows.cuts(axis.source) if begin < place < end]
    starts = np.unique([start[axis.source] for start in windows.starts]) - windows.padding[axis.source]
    found = []
    for count in range(1, len(places) + 2):
        even = np.linspace(begin, end, count + 1)[1:-1]
        chosen = sorted({min(places, key=lambda place: abs(place - at)) for at in even})
        parts = _parts(axis, chosen)
        reaches = [axis.part(*part).reach() for part in parts]
        width = max(stop - start for start, stop in reaches)
        roi = windows.roi[axis.source]
        needed = sum(int(((starts < stop) & (starts + roi > start)).sum()) for start, stop in reaches)
        found.append(Cut(tuple(parts), width, needed))
    return found


def _parts(axis: AxisMap, places: Sequence[int]) -> list[Span]:
    """The image's voxels on either side of each place, in the order of the model's."""
    owner = np.where(axis.low == NOTHING, axis.high, axis.low)
    group = np.digitize(owner, places)
    edges = [0, *(np.flatnonzero(np.diff(group)) + 1).tolist(), len(group)]
    parts = list(pairwise(edges))
    return sorted(parts, key=lambda part: int(group[part[0]]))
