"""Faster sums of fewer digits, on processors made for them."""

from __future__ import annotations

from typing import Any

import torch
from monai.inferers import SimpleInferer
from torch import Tensor


def computes_in_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies in bfloat16; others only imitate it, which is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    asked = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return device.type == "cpu" and asked is not None and bool(asked())


class Bfloat16Inferer(SimpleInferer):  # type: ignore[misc]
    """A network's forward pass in bfloat16 where the device computes in it; weights and result stay float32."""

    def __call__(self, inputs: Tensor, network: Any, *args: Any, **kwargs: Any) -> Tensor:
        """The network's output for `inputs` (B, C, ...)."""
        if not computes_in_bfloat16(inputs.device):
            return super().__call__(inputs, network, *args, **kwargs)  # type: ignore[no-any-return]
        # Channels last is what the processor's convolutions are written for, of images and of weights.
        layout = {4: torch.channels_last, 5: torch.channels_last_3d}.get(inputs.ndim, torch.contiguous_format)
        _in_layout(network, inputs.ndim, layout)
        with torch.autocast(inputs.device.type, torch.bfloat16):
            found: Tensor = super().__call__(inputs.contiguous(memory_format=layout), network, *args, **kwargs)
        return found.float()


def _in_layout(network: Any, dimensions: int, layout: torch.memory_format) -> None:
    """The weights themselves, once, for otherwise every step puts each of them and its gradient in order anew."""
    if not isinstance(network, torch.nn.Module):
        return
    # `Module.to(memory_format=)` takes one order for all: four axes or five, but there are networks with both.
    for weight in network.parameters():
        if weight.ndim == dimensions and not weight.is_contiguous(memory_format=layout):
            weight.data = weight.data.contiguous(memory_format=layout)
