"""From the network's channels to labels, for a plane of voxels or for single ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

Activation = Callable[[torch.Tensor, int], torch.Tensor]
"""Values and the axis that holds their channels, to values."""


def softmax(values: torch.Tensor, channels: int) -> torch.Tensor:
    """As MONAI's Activations does it."""
    return torch.softmax(values.float(), dim=channels)


def sigmoid(values: torch.Tensor, channels: int) -> torch.Tensor:  # noqa: ARG001 - the form of an Activation
    """As MONAI's Activations does it."""
    return torch.sigmoid(values.float())


class Reduction(Protocol):
    """Values to labels.

    Whatever it is, voxels that all have the same labels must keep them in any average of theirs: then only voxels
    between different labels need to be interpolated.
    """

    def __call__(self, values: torch.Tensor, channels: int) -> torch.Tensor:
        """Labels in one byte, or two where they need it; `channels` is the axis of the channels and stays."""
        ...


def label_type(channels: int) -> torch.dtype:
    """The smallest type that holds every label and one more value."""
    return torch.uint8 if channels < 255 else torch.int32


@dataclass(frozen=True)
class Argmax:
    """The channel with the largest value, the first of several."""

    def __call__(self, values: torch.Tensor, channels: int) -> torch.Tensor:
        kind = label_type(values.shape[channels])
        if channels == values.ndim - 1:
            return values.argmax(dim=channels, keepdim=True).to(kind)
        # Channel by channel is three times as fast as argmax where the channels lie far apart.
        parts = values.unbind(channels)
        best = parts[0].clone()
        labels = torch.zeros(best.shape, dtype=kind, device=best.device)
        for number, part in enumerate(parts[1:], start=1):
            # Numbers grow, so the largest that was ever ahead is the last one: twice as fast as a masked fill.
            torch.maximum(labels, (part > best).to(kind).mul_(number), out=labels)
            torch.maximum(best, part, out=best)
        return labels.unsqueeze(channels)


@dataclass(frozen=True)
class Threshold:
    """1 in every channel whose value reaches `value`."""

    value: float

    def __call__(self, values: torch.Tensor, channels: int) -> torch.Tensor:  # noqa: ARG002 - the form of a Reduction
        return (values >= self.value).to(torch.uint8)
