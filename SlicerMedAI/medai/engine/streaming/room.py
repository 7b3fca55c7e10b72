"""Is there room for a network's whole output? Told by its first window, before all others are computed in vain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from monai.transforms import Activationsd, Invertd

from medai.engine.streaming.available import available_bytes
from medai.engine.streaming.errors import WholeOutputError
from medai.engine.streaming.estimate import whole_bytes
from medai.engine.streaming.recipe import leaves


@contextmanager
def room_for_output(
    network: object, model: Sequence[int], image: Sequence[int], postprocessing: object, device: torch.device | str
) -> Iterator[None]:
    """Within the ``with`` block, the first forward pass is refused when the whole output cannot fit.

    Parameters
    ----------
    network : torch.nn.Module
        That will be called; anything else is let pass.
    model, image : sequence of int
        Spatial sizes of its input as a whole, and of the image that its output is brought back to.
    postprocessing : Compose or None
        What is done to the output.
    device : torch.device or str
        Where the output is put together.

    Raises
    ------
    WholeOutputError
        When the least it takes is more than what is free.
    """
    if not isinstance(network, torch.nn.Module):
        yield
        return
    steps = [type(leaf) for leaf in leaves(postprocessing)]

    def look(_module: torch.nn.Module, _inputs: object, output: Any) -> None:
        hook.remove()
        if not isinstance(output, torch.Tensor) or output.ndim != len(model) + 2:
            return
        # The least that MONAI can do with: no more is known of how it resamples.
        back = image if Invertd in steps else ()
        needed = whole_bytes(output.shape[1], model, back, interpolated=False, activated=Activationsd in steps)
        free = available_bytes(device)
        if needed > free:
            raise _too_large(needed, free, output.shape[1], gpu=torch.device(device).type != "cpu")

    hook = network.register_forward_hook(look)
    try:
        yield
    finally:
        hook.remove()


def _too_large(needed: int, free: int, channels: int, *, gpu: bool) -> WholeOutputError:
    return WholeOutputError(
        "The image is too large for the memory that is free.",
        f"This model's postprocessing needs its whole output at once: {channels} values for every voxel, at least "
        f"{needed / 2**30:.1f} GB, but {free / 2**30:.1f} GB {'of the GPU ' if gpu else ''}are free.",
        "Draw a region around the structure and look at that alone, close other programs, or use a computer with more "
        "memory.",
    )
