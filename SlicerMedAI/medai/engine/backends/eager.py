"""PyTorch itself, in the form that is fastest on this device: memory order and, on GPUs, half precision."""

from __future__ import annotations

from typing import Any

import torch

from medai.engine.backend_names import PYTORCH

PLAIN = PYTORCH
_HALF = {"float16": torch.float16, "bfloat16": torch.bfloat16}


class TorchForm(torch.nn.Module):  # type: ignore[misc]
    """The network in another memory order or precision; its output is contiguous and float32 as before.

    Parameters
    ----------
    network : torch.nn.Module
        The network itself. Its weights are put into the other order in place: their values stay.
    channels_last : bool
        Channels innermost in memory, which convolutions on many devices prefer.
    precision : torch.dtype, optional
        Half precision for the operations that bear it (autocast).
    """

    def __init__(self, network: torch.nn.Module, *, channels_last: bool, precision: torch.dtype | None = None) -> None:
        super().__init__()
        self.network = network
        self._channels_last = channels_last
        self._precision = precision
        if channels_last:
            _reorder(network)

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if self._channels_last and x.ndim in (4, 5):
            x = x.to(memory_format=torch.channels_last if x.ndim == 4 else torch.channels_last_3d)
        with torch.autocast(x.device.type, dtype=self._precision, enabled=self._precision is not None):
            output = self.network(x, *args, **kwargs)
        if not isinstance(output, torch.Tensor):
            return output
        return (output.float() if self._precision is not None else output).contiguous()


def forms(device: str) -> tuple[str, ...]:
    """Names of the forms worth measuring on `device` beside the plain one, for `in_form`.

    Half precision is tried on NVIDIA GPUs with the units for it and on CPUs with Intel AMX; on other CPUs bfloat16 is
    emulated and ten times slower.
    """
    if device.startswith("cuda"):
        major, _ = torch.cuda.get_device_capability(torch.device(device))
        half = ("float16", "bfloat16") if major >= 8 else ("float16",) if major >= 7 else ()
    elif device == "cpu":
        half = ("bfloat16",) if _has_amx() else ()
    else:
        return ()
    return (f"{PLAIN}:channels_last", *(f"{PLAIN}:channels_last:{name}" for name in half))


def in_form(network: torch.nn.Module, name: str) -> torch.nn.Module:
    """The network in the form of that name, as told by `forms`; itself for ``"torch"``."""
    parts = name.split(":")[1:]
    if not parts:
        return network
    precision = next((_HALF[part] for part in parts if part in _HALF), None)
    return TorchForm(network, channels_last="channels_last" in parts, precision=precision)


def _reorder(network: torch.nn.Module) -> None:
    # `Module.to(memory_format=)` takes one order for all: four axes or five, but there are networks with both.
    for parameter in network.parameters():
        if parameter.ndim in (4, 5):
            order = torch.channels_last if parameter.ndim == 4 else torch.channels_last_3d
            parameter.data = parameter.data.contiguous(memory_format=order)


def _has_amx() -> bool:
    told = getattr(torch.cpu, "_is_amx_tile_supported", None)  # public nowhere yet
    try:
        return bool(told and told())
    except RuntimeError:
        return False
