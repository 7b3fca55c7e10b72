"""Windows merged in a sweep along one axis, in memory that holds no more planes than a window is deep.

Once no later window reaches a plane, it is final: it is handed on and its memory used again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch

Start = tuple[int, int, int]
Span = tuple[int, int]


class Ring:
    """A few planes across the swept axis, as if all were there.

    Parameters
    ----------
    depth : int
        How many planes are held at once: a window's and one more.
    channels : int
        Values per voxel.
    spans : tuple of (int, int)
        Start and stop of the tile along the two axes of a plane.
    dtype, device
        Of the sums.
    """

    def __init__(
        self, depth: int, channels: int, spans: tuple[Span, Span], *, dtype: torch.dtype, device: torch.device
    ) -> None:
        self._spans = spans
        edges = [stop - start for start, stop in spans]
        self._sums = torch.zeros((depth, channels, *edges), dtype=dtype, device=device)
        self._counts = torch.zeros((depth, 1, *edges), dtype=dtype, device=device)

    def add(self, start: Start, values: torch.Tensor, weights: torch.Tensor) -> None:
        """Add a window.

        Parameters
        ----------
        start : tuple of int
            First plane, row and column.
        values : Tensor, shape (planes, C, rows, columns)
            Already weighted.
        weights : Tensor, shape (planes, rows, columns)
            How much each voxel counts.
        """
        here, there = [], []
        for (low, high), first, count in zip(self._spans, start[1:], values.shape[2:], strict=True):
            begin, end = max(first, low), min(first + count, high)
            here.append(slice(begin - low, end - low))
            there.append(slice(begin - first, end - first))
        depth, plane, done = len(self._sums), start[0] % len(self._sums), 0
        while done < len(values):
            count = min(depth - plane, len(values) - done)
            into, part = slice(plane, plane + count), slice(done, done + count)
            self._sums[into, :, here[0], here[1]] += values[part, :, there[0], there[1]]
            self._counts[into, 0, here[0], here[1]] += weights[part, there[0], there[1]]
            plane, done = 0, done + count

    def finish(self, plane: int) -> torch.Tensor:
        """The merged values of a plane, (C, rows, columns): a view that lasts until `release`."""
        sums = self._sums[plane % len(self._sums)]
        sums /= self._counts[plane % len(self._sums)]
        return sums

    def release(self, plane: int) -> None:
        """Make room for another plane."""
        self._sums[plane % len(self._sums)].zero_()
        self._counts[plane % len(self._sums)].zero_()


def sweep(
    ring: Ring, windows: Iterable[tuple[Start, torch.Tensor]], weights: torch.Tensor, planes: Span
) -> Iterator[tuple[int, torch.Tensor]]:
    """Planes in order, each as soon as it is final.

    Parameters
    ----------
    ring : Ring
        Empty, and `weights` deep at least, and one more.
    windows : iterable of (start, values)
        In order of their first plane; values as in `Ring.add`.
    weights : Tensor, shape (planes, rows, columns)
        Of every window.
    planes : tuple of (int, int)
        Start and stop of what is wanted; the windows cover it.

    Yields
    ------
    plane, values : int, Tensor
        The values last until the plane after the next is asked for.
    """
    state = _Finished(ring)
    for start, values in windows:
        yield from state.up_to(start[0], planes)
        ring.add(start, values, weights)
    yield from state.up_to(planes[1], planes)


class _Finished:
    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._next: int | None = None

    def up_to(self, stop: int, planes: Span) -> Iterator[tuple[int, torch.Tensor]]:
        if self._next is None:
            self._next = stop  # the first window's first plane: nothing is held before it
        while self._next < stop:
            plane, self._next = self._next, self._next + 1
            if planes[0] <= plane < planes[1]:
                yield plane, self._ring.finish(plane)
            # The plane just finished stays: what lies between it and the next one needs both.
            self._ring.release(plane - 1)
