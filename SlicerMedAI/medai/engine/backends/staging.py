"""Windows from the computer's memory onto a GPU, the next one travelling while the last one is computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch


def staged(windows: Iterable[torch.Tensor], device: str, *, cuda: Any = torch.cuda) -> Iterator[torch.Tensor]:
    """The same windows on `device`, in the same order.

    On NVIDIA GPUs each is copied by a stream of its own out of page-locked memory, started before the one ahead of it
    is handed out. At most two are on the GPU on behalf of this function.

    Parameters
    ----------
    windows : iterable of Tensor
        On the CPU; may be made one by one.
    device : str
        As PyTorch calls it.
    cuda : module
        PyTorch's own.
    """
    if not device.startswith("cuda"):
        for window in windows:
            yield window.to(device)
        return
    stream = cuda.Stream(device=device)
    on_its_way: tuple[torch.Tensor, Any] | None = None
    for window in windows:
        with cuda.stream(stream):
            # The allocator of page-locked memory keeps the source until the copy has ended.
            following = window.pin_memory().to(device, non_blocking=True), stream.record_event()
        if on_its_way is not None:
            yield _arrived(*on_its_way, device, cuda)
        on_its_way = following
    if on_its_way is not None:
        yield _arrived(*on_its_way, device, cuda)


def _arrived(window: torch.Tensor, event: Any, device: str, cuda: Any) -> torch.Tensor:
    current = cuda.current_stream(device)
    current.wait_event(event)
    window.record_stream(current)  # its memory is not given to a later copy while the network reads it
    return window
