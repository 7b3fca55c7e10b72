"""One image: the network's windows, swept tile by tile into labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from itertools import takewhile

import torch
from monai.inferers import SlidingWindowInferer

from medai.engine.backends.staging import staged
from medai.engine.streaming.available import available_bytes
from medai.engine.streaming.axes import AxisMap, GridMap
from medai.engine.streaming.errors import NotStreamableError
from medai.engine.streaming.estimate import window_bytes
from medai.engine.streaming.merge import Ring, Start, sweep
from medai.engine.streaming.recipe import Recipe
from medai.engine.streaming.restore import Restorer
from medai.engine.streaming.tiles import cut, swept_axis
from medai.engine.streaming.windows import Box, check_inferer, merging_device, padded, windows_of
from medai.engine.threads import ahead, threads
from medai.engine.windows import OnWindow, check_output

Forward = Callable[[torch.Tensor], torch.Tensor]
Axes = tuple[AxisMap, AxisMap, AxisMap]
Corner = tuple[int, ...]
# Of the memory that is free: the network, the image's preparation and everybody else need some meanwhile.
_SHARE = 0.6
_MANY_VALUES = 1 << 22  # in a plane: fewer are merged sooner by one thread than by several that wait for each other


class Sweeps:
    """One image under way.

    Parameters
    ----------
    inferer : SlidingWindowInferer
        The bundle's own.
    image : Tensor, shape (1, C, *spatial)
        On the model's grid.
    forward : callable
        The network: windows in, (N, C, *window) out.
    on_window : callable or None
        Called with the number of windows done; may raise to stop.

    Raises
    ------
    NotStreamableError
        When the inferer, or the network's output, is not one that can be merged window by window.
    """

    def __init__(
        self, inferer: SlidingWindowInferer, image: torch.Tensor, forward: Forward, on_window: OnWindow | None
    ) -> None:
        check_inferer(inferer)
        self._windows = windows_of(inferer, image)
        self._image = padded(inferer, image, self._windows)
        self._forward = forward
        self._on_window = on_window
        self._threads = torch.get_num_threads()
        self._outputs_at_once = 1
        self._window_device = torch.device(inferer.sw_device or image.device)
        self._device = merging_device(inferer, image, image.device)
        swept = swept_axis(self._windows)
        rank = len(self._windows.size)
        # Planes, rows and columns: a two-dimensional image has one column.
        self._order = (swept, *(axis for axis in range(rank) if axis != swept))
        self._missing = (1,) * (3 - rank)
        weights = self._windows.weights.to(self._device).permute(self._order)
        self._weights = weights.reshape(*weights.shape, *self._missing)
        self._batch = self._windows.batch
        self._first: dict[Corner, torch.Tensor] = {}
        self._done = 0
        self._told = 0
        self._part_of_progress = 1.0

    def labels(
        self, recipe: Recipe, grid: GridMap, wanted: Sequence[tuple[int, int]], budget_bytes: int | None
    ) -> torch.Tensor:
        """The image's labels, (L, *shape of `grid`), in main memory; see `StreamingInferer` for the parameters."""
        spans = [_overlap(span, axis.filled) for span, axis in zip(wanted, grid.axes, strict=True)]
        axes = [axis.part(*span) for axis, span in zip(grid.axes, spans, strict=True)]
        sources = [axis.source for axis in axes]
        swept = [axes[sources.index(source)] for source in self._order]
        swept += [AxisMap.identity(2 - n, 1) for n in range(len(self._missing))]
        box = [axis.reach() for axis in swept]
        # Only the network's own output tells how many channels it has. These windows are the first in any case.
        first = self._touching(box)[: 1 if budget_bytes is not None else min(self._batch, 2)]
        first = first or [self._windows.starts[0]]
        self._tell(0)
        outputs = self._forwarded(self._cut_out(first).to(self._window_device))
        self._first = dict(zip(first, outputs, strict=True))
        self._tell(len(first))
        channels = outputs.shape[1]
        nothing = _label_of_nothing(outputs.new_zeros(channels, *[1] * len(grid.shape)), recipe)
        labels = nothing.repeat(1, *grid.shape)
        del outputs  # each goes when it is merged
        if all(stop > start for start, stop in spans):
            inside = (slice(None), *(slice(*span) for span in spans))
            part = labels[inside]
            part = part.permute(0, *(1 + sources.index(source) for source in self._order))
            for _ in self._missing:
                part = part[..., None]
            self._fill(part, recipe, (swept[0], swept[1], swept[2]), channels, budget_bytes)
        return labels

    def _fill(self, labels: torch.Tensor, recipe: Recipe, axes: Axes, channels: int, budget_bytes: int | None) -> None:
        budget = int(_SHARE * available_bytes(self._device)) if budget_bytes is None else budget_bytes
        each = window_bytes(channels, self._windows.roi)
        # On a GPU, PyTorch itself returns before the network has finished.
        beside = self._window_device.type == self._device.type == "cpu"
        self._outputs_at_once = 2 if beside and budget >= 8 * each else 1
        self._batch = max(min(self._windows.batch, budget // (4 * self._outputs_at_once * each)), 1)
        left = budget - (self._outputs_at_once * self._batch - 1) * each
        rows, columns = cut(axes[1:], self._windows, channels, self._order[0], left)
        tiles = [(row, column) for row in rows.parts for column in columns.parts]
        parts = [(axes[0], axes[1].part(*row), axes[2].part(*column)) for row, column in tiles]
        starts = [self._touching([axis.reach() for axis in part]) for part in parts]
        # What is computed again is no progress.
        once = self._touching([axis.reach() for axis in axes])
        self._part_of_progress = len(once) / max(sum(map(len, starts)), 1)
        for part, (row, column), some in zip(parts, tiles, starts, strict=True):
            self._sweep(labels[:, :, slice(*row), slice(*column)], recipe, part, channels, some)

    def _sweep(self, labels: torch.Tensor, recipe: Recipe, axes: Axes, channels: int, starts: Sequence[Corner]) -> None:
        reach = [axis.reach() for axis in axes]
        before = [self._windows.padding[axis] for axis in self._order] + [0] * len(self._missing)
        planes, rows, columns = ((low + pad, high + pad) for (low, high), pad in zip(reach, before, strict=True))
        depth = self._weights.shape[0] + 1
        ring = Ring(depth, channels, (rows, columns), dtype=self._image.dtype, device=self._device)
        restorer = Restorer(
            axes,
            (reach[1][0], reach[2][0]),
            labels,
            before=recipe.before,
            after=recipe.after,
            reduction=recipe.reduction,
            device=self._device,
        )
        few = channels * (rows[1] - rows[0]) * (columns[1] - columns[0]) < _MANY_VALUES
        with threads(1) if few and self._outputs_at_once > 1 else nullcontext():
            for number, values in sweep(ring, self._outputs(starts), self._weights, planes):
                restorer.take(number - before[0], values)

    def _outputs(self, starts: Sequence[Corner]) -> Iterator[tuple[Start, torch.Tensor]]:
        """The weighted outputs for these windows, with planes, channels, rows and columns in this order."""
        known = list(takewhile(self._first.__contains__, starts))
        for start in known:
            yield self._placed(start, self._first.pop(start))
        # Those of another part are computed again there: it begins with others, and sums are made in MONAI's order.
        self._done -= len(self._first)
        self._first.clear()
        rest = starts[len(known) :]
        groups = [rest[n : n + self._batch] for n in range(0, len(rest), self._batch)]
        windows = self._on_device(map(self._cut_out, groups))
        beside = self._outputs_at_once > 1
        computed = ahead(self._forwarded, windows, self._threads) if beside else map(self._forwarded, windows)
        for group, outputs in zip(groups, computed, strict=True):
            self._tell(len(group))
            for start, output in zip(group, outputs, strict=True):
                yield self._placed(start, output)
            del outputs, output  # before the next ones are there

    def _placed(self, start: Corner, output: torch.Tensor) -> tuple[Start, torch.Tensor]:
        swept, *others = self._order
        values = output if self._windows.even else output.mul_(self._windows.weights)
        values = values.to(self._device).permute(1 + swept, 0, *(1 + axis for axis in others))
        for _ in self._missing:
            values = values[..., None]
        place = [start[axis] for axis in self._order] + [0] * len(self._missing)
        return (place[0], place[1], place[2]), values

    def _cut_out(self, group: Sequence[Corner]) -> torch.Tensor:
        spans = [(slice(s, s + n) for s, n in zip(start, self._windows.roi, strict=True)) for start in group]
        places = [(slice(None), slice(None), *span) for span in spans]
        # A copy even of a single one: what a network does to its input is its own affair.
        return torch.cat([self._image[place] for place in places])

    def _on_device(self, windows: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
        """The windows where the network is; on a GPU the next one travels while the last one is computed."""
        if self._image.device.type == "cpu":
            return staged(windows, str(self._window_device))
        return (window.to(self._window_device) for window in windows)

    def _forwarded(self, windows: torch.Tensor) -> torch.Tensor:
        output = self._forward(windows)
        if not isinstance(output, torch.Tensor):
            raise NotStreamableError(f"its network gives {type(output).__name__} instead of one tensor")
        roi, count = self._windows.roi, len(windows)
        if tuple(output.shape[2:]) != roi or len(output) != count or not output.is_floating_point():
            raise NotStreamableError("its network's output is not of its window's size")
        check_output(output)
        return output

    def _touching(self, box: Sequence[tuple[int, int]]) -> list[Corner]:
        """Windows that reach into a box given in the order of the sweep, in that order."""
        in_image: Box = tuple(box[self._order.index(axis)] for axis in range(len(self._order)))
        if any(start == stop for start, stop in in_image):
            return []
        return sorted(self._windows.touching(in_image), key=lambda start: start[self._order[0]])

    def _tell(self, windows: int) -> None:
        self._done += windows
        # Never back, even when it turns out that the same windows are needed again.
        self._told = max(self._told, int(self._done * self._part_of_progress + 1e-6))
        if self._on_window is not None:
            self._on_window(self._told)


def _overlap(span: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    start = max(span[0], other[0])
    return start, max(min(span[1], other[1]), start)


def _label_of_nothing(values: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """The labels of a voxel beyond the model's grid, (L, 1, ...), in main memory: what 0 in every channel gives."""
    for activation in recipe.after:
        values = activation(values, 0)
    labels = recipe.reduction(values, 0).cpu()
    return labels.zero_() if recipe.labels_are_inverted else labels
