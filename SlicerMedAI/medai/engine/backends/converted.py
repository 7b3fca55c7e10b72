"""A converted model that is called like the network it came from."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch

Runner = Callable[[torch.Tensor], torch.Tensor]
"""Takes a contiguous float32 tensor on the CPU, (B, C, spatial), and gives a new one."""

_log = logging.getLogger("medai.engine.backends")


class ConvertedNetwork(torch.nn.Module):  # type: ignore[misc]
    """Takes and gives the tensors of the network it stands in for.

    Whatever the converted model was not proven for goes to the network itself: other dtypes and devices, gradients,
    further arguments. So does everything after a first failure of the converted model.

    Parameters
    ----------
    network : torch.nn.Module
        The network itself, on the CPU.
    run : callable
        The converted model.
    window : tuple of int, optional
        (C, spatial) of the only windows that it was proven for; None when it takes any size.
    """

    def __init__(self, network: torch.nn.Module, run: Runner, window: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self.network = network
        self._run: Runner | None = run
        self._window = window

    @property
    def gave_up(self) -> bool:
        """Whether the converted model has failed, so that the network itself computes."""
        return self._run is None

    def at_once(self, window: tuple[int, ...]) -> int:
        """How many windows of that size, (C, spatial), are best handed over together."""
        return at_once(self._run, window)

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if self._run is None or args or kwargs or not self._takes(x):
            return self.network(x, *args, **kwargs)
        # Images that carry metadata (monai.data.MetaTensor) keep it, as they do in a network.
        plain = x.detach().as_subclass(torch.Tensor).contiguous()
        try:
            output = computed(self._run, plain, self._window)
        except Exception as error:
            _log.warning("The converted model failed, PyTorch goes on: %s", error)
            self._run = None
            return self.network(x)
        return like(output, x)

    def _takes(self, x: torch.Tensor) -> bool:
        return (
            x.dtype == torch.float32
            and x.device.type == "cpu"
            and x.numel() > 0
            and not (torch.is_grad_enabled() and x.requires_grad)
            and (self._window is None or tuple(x.shape[1:]) == self._window)
        )


def computed(run: Runner, x: torch.Tensor, window: tuple[int, ...] | None) -> torch.Tensor:
    """What a converted model gives for a batch.

    Parameters
    ----------
    run : callable
        The converted model.
    x : Tensor, shape (B, C, spatial)
    window : tuple of int, optional
        (C, spatial) of the only windows that it takes, a few at once; None when it takes any batch.
    """
    batches = [x] if window is None else x.split(at_once(run, window))
    outputs = [run(batch) for batch in batches]
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def at_once(network: object, window: tuple[int, ...]) -> int:
    """How many windows of that size, (C, spatial), a network is best given together, as far as it says so; else 1."""
    told = getattr(network, "at_once", None) or getattr(getattr(network, "forward", None), "at_once", None)
    return int(told(window)) if callable(told) else 1


def like(output: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """`output` with the metadata of `x`, when `x` is an image that carries any."""
    if type(x) is torch.Tensor:
        return output
    from monai.data import MetaTensor

    return MetaTensor(output).copy_meta_from(x) if isinstance(x, MetaTensor) else output
