"""The ways to run a model, each taking less memory than the one above it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from medai.engine.backends.eager import TorchForm
from medai.engine.devices import Device

_SMALLEST_WINDOW = 32
_MULTIPLE = 16  # what most networks that halve their input several times ask of a window


@dataclass(frozen=True)
class Rung:
    """One way to run a model.

    Parameters
    ----------
    device : Device
        Where.
    sw_batch_size : int or None
        Windows per forward pass; None is the model's own number.
    merge_on_host : bool
        Whether a GPU's windows are put together in the computer's memory.
    half : bool
        Whether the network computes in half precision.
    least_buffer : bool
        Whether the image is gone through in the smallest parts there are, computing windows on their borders twice.
    smaller_windows : bool
        Whether windows have half the edge length.
    """

    device: Device
    sw_batch_size: int | None = None
    merge_on_host: bool = False
    half: bool = False
    least_buffer: bool = False
    smaller_windows: bool = False

    @property
    def merges_on_host(self) -> bool:
        """Whether windows are put together in the computer's memory, be it the GPU or the CPU that computes them."""
        return self.merge_on_host or self.device.name == "cpu"

    @property
    def budget_bytes(self) -> int | None:
        """For the buffer in which windows are merged; None is what memory allows."""
        return 0 if self.least_buffer else None

    def changes(self, inferer: Any, at_once: int = 1) -> dict[str, Any]:
        """What is other than the model's own inferer has it.

        Parameters
        ----------
        inferer : monai.inferers.Inferer
        at_once : int
            How many windows the network is best given together, where neither the model nor this rung wants more or
            fewer.
        """
        changes: dict[str, Any] = {}
        if self.sw_batch_size is not None:
            changes["sw_batch_size"] = self.sw_batch_size
        elif at_once > int(getattr(inferer, "sw_batch_size", at_once)):
            changes["sw_batch_size"] = at_once
        if self.merge_on_host and hasattr(inferer, "device"):
            changes["device"] = "cpu"
        if self.smaller_windows:
            changes["roi_size"] = _halved(inferer)
        return changes

    def in_precision(self, network: torch.nn.Module) -> torch.nn.Module:
        """The network in this rung's precision."""
        return TorchForm(network, channels_last=False, precision=torch.float16) if self.half else network


def lower(
    rung: Rung,
    inferer: Any,
    *,
    at_once: int = 1,
    windows_chosen: bool = False,
    merging_elsewhere: bool = False,
    streamed: bool = True,
) -> tuple[str, Rung] | None:
    """The next rung down, and what it means in half a sentence; None below the lowest.

    Parameters
    ----------
    rung : Rung
        Where memory ran out.
    inferer : monai.inferers.Inferer
        The model's own.
    at_once : int
        As it was given to `Rung.changes`.
    windows_chosen : bool
        Whether a person chose the number of windows at once: theirs to keep.
    merging_elsewhere : bool
        Whether only a rung helps that puts windows together in another memory.
    streamed : bool
        Whether the image can be gone through in parts.
    """
    steps = _below(rung, inferer, at_once, windows_chosen)
    if not streamed:
        steps = (step for step in steps if not step[1].least_buffer)
    if merging_elsewhere:
        steps = (step for step in steps if step[1].merges_on_host != rung.merges_on_host)
    return next(steps, None)


def _below(rung: Rung, inferer: Any, at_once: int, windows_chosen: bool) -> Iterator[tuple[str, Rung]]:
    in_windows = hasattr(inferer, "roi_size")
    gpu = rung.device.name != "cpu"
    if in_windows and not windows_chosen and (rung.sw_batch_size or max(int(inferer.sw_batch_size), at_once)) > 1:
        yield "the image was processed one window at a time", replace(rung, sw_batch_size=1)
    if in_windows and gpu and not rung.merge_on_host:
        yield "results were put together in the computer's memory", replace(rung, merge_on_host=True)
    if in_windows and not rung.least_buffer:
        yield "the image was gone through in smaller parts", replace(rung, least_buffer=True)
    if rung.device.name.startswith("cuda") and not rung.half:
        yield "the network computed in half precision, which may change the result slightly", replace(rung, half=True)
    if in_windows and not rung.smaller_windows and _is_smaller(_halved(inferer), inferer.roi_size):
        yield (
            "the image was processed in windows of half the size, which may change the result slightly",
            replace(rung, smaller_windows=True),
        )
    if gpu:
        cpu = Device("cpu", "CPU: the GPU has too little memory for this image")
        yield "the CPU was used instead of the GPU", Rung(cpu, rung.sw_batch_size)


def _halved(inferer: Any) -> int | tuple[int, ...]:
    """Windows of half the edge length, as far as networks bear it; an axis taken whole stays so."""
    roi = inferer.roi_size
    return _half(roi) if isinstance(roi, int) else tuple(_half(int(size)) for size in roi)


def _is_smaller(one: int | tuple[int, ...], other: Any) -> bool:
    return one != other if isinstance(other, int) else one != tuple(other)


def _half(size: int) -> int:
    return size if size <= _SMALLEST_WINDOW else max(_SMALLEST_WINDOW, -(-size // 2 // _MULTIPLE) * _MULTIPLE)
