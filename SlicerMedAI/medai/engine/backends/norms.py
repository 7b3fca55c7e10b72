"""Group normalisation written so that a converted network keeps its layout.

OpenVINO's own form of it reshapes the whole image to groups, for which every value is brought from the layout that its
convolutions want to the ordinary one and back: a quarter of a SegResNet's time. Statistics of channels, put together
to those of their groups, need no reshape of anything large.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn


@contextmanager
def grouped_by_channels(network: nn.Module) -> Iterator[None]:
    """Within the ``with`` block, every `torch.nn.GroupNorm` of a network of images computes the same in another way."""
    changed = [module for module in network.modules() if type(module) is nn.GroupNorm]
    try:
        for module in changed:
            module.forward = partial(_normalised, module)
        yield
    finally:
        for module in changed:
            vars(module).pop("forward", None)


def _normalised(norm: nn.GroupNorm, x: torch.Tensor) -> torch.Tensor:
    if x.ndim < 4:
        return nn.GroupNorm.forward(norm, x)
    mean_of_groups = _means_of_groups(norm.num_groups)
    centred = x - mean_of_groups(x)
    scale = torch.rsqrt(mean_of_groups(centred * centred) + norm.eps)
    if not norm.affine:
        return centred * scale
    channels = (1, -1, *[1] * (x.ndim - 2))
    return centred * (scale * norm.weight.reshape(channels)) + norm.bias.reshape(channels)


def _means_of_groups(groups: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Of (B, C, *spatial), the mean of each channel's group, (B, C, 1...)."""

    def means(values: torch.Tensor) -> torch.Tensor:
        # A million values added one after the other would lose four digits: first each plane's mean, then theirs. What
        # stands in between keeps OpenVINO from making one sum of both.
        planes = values.mean(tuple(range(3, values.ndim)), keepdim=True) * 0.5
        channels = planes.mean(2, keepdim=True) * 2
        members = channels.reshape(values.shape[0], groups, -1)
        return members.mean(2, keepdim=True).expand_as(members).reshape(channels.shape)

    return means
