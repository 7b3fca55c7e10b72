"""A bundle's sliding window inferer that gives labels on the image's grid instead of the network's output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from monai.data import MetaTensor
from monai.inferers import SlidingWindowInferer

from medai.engine.streaming.axes import GridMap
from medai.engine.streaming.errors import NotStreamableError
from medai.engine.streaming.recipe import Recipe
from medai.engine.streaming.sweeps import Sweeps
from medai.engine.windows import OnWindow, watched


@dataclass
class StreamingInferer:
    """Called like any inferer of MONAI's.

    Parameters
    ----------
    inferer : SlidingWindowInferer
        The bundle's own.
    recipe : Recipe
        What comes after it.
    model_shape : tuple of int
        Spatial size of the image that `grid` was made for.
    grid : GridMap
        The grid of the labels on the model's.
    wanted : sequence of (int, int)
        Start and stop along each axis of the labels' grid; outside of it labels are those of no voxel.
    budget_bytes : int or None
        For the network's output and what is merged of it; None for a part of what is free.
    on_window : callable or None
        Called with the number of windows done, before the first and after each forward pass; may raise to stop.
    room : callable
        Entered where the whole output is kept; may refuse that.
    why_not : str
        After a call: why it gave the network's output, as `inferer` does, instead of labels.
    """

    inferer: SlidingWindowInferer
    recipe: Recipe
    model_shape: tuple[int, ...]
    grid: GridMap
    wanted: Sequence[tuple[int, int]]
    budget_bytes: int | None = None
    on_window: OnWindow | None = None
    room: Callable[[], AbstractContextManager[None]] = nullcontext
    why_not: str = field(default="", init=False)

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Labels, shape (1, L, *image), in main memory; or, with `why_not`, the network's whole output."""
        try:
            return self._labels(inputs, network, *args, **kwargs)
        except NotStreamableError as reason:
            self.why_not = str(reason)
        told = self.on_window is not None and isinstance(network, torch.nn.Module)
        with self.room(), watched(network, self.on_window) if told else nullcontext():  # type: ignore[arg-type]
            return self.inferer(inputs, network, *args, **kwargs)

    def _labels(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        if tuple(inputs.shape[2:]) != self.model_shape or len(inputs) != 1:
            raise NotStreamableError("its image was changed on the way to the network")
        # Where MONAI would merge is ours to decide.
        kwargs = {name: value for name, value in kwargs.items() if name not in ("device", "buffer_steps", "buffer_dim")}
        image = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        sweeps = Sweeps(self.inferer, image, lambda window: network(window, *args, **kwargs), self.on_window)
        return sweeps.labels(self.recipe, self.grid, self.wanted, self.budget_bytes)[None]
