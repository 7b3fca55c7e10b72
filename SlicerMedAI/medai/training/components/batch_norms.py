"""Batch norms of a training in several processes, that see the batch of all of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed
from torch.nn import SyncBatchNorm
from torch.nn.modules.batchnorm import _BatchNorm

from medai.training.components.averages import mean_of_all


def norms_of_whole_batches(network: torch.nn.Module) -> torch.nn.Module:
    """The network, whose batch norms take mean and variance over all processes; its weights stay the same objects.

    Parameters
    ----------
    network : torch.nn.Module
        Is changed.
    """
    if any(parameter.is_cuda for parameter in network.parameters()):
        converted: torch.nn.Module = SyncBatchNorm.convert_sync_batchnorm(network)
        return converted
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.__class__ = _WholeBatchNorm  # of the same attributes, whatever the number of dimensions
    return network


class _WholeBatchNorm(_BatchNorm):  # type: ignore[misc]
    """What PyTorch's `SyncBatchNorm` does, which knows GPUs only; every process has as many cases."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (PyTorch's name)
        """Normalised, of the same shape (B, C, ...) and dtype."""
        if not self.training:
            return super().forward(input)
        axes, flat = [0, *range(2, input.ndim)], (1, -1, *[1] * (input.ndim - 2))
        values = input.float()
        mean = _Mean.apply(values.mean(axes))
        away = values - mean.view(flat)
        variance = _Mean.apply(away.square().mean(axes))
        if self.track_running_stats:
            self._follow(mean.detach(), variance.detach(), values.numel() // len(mean) * distributed.get_world_size())
        found = away * torch.rsqrt(variance + self.eps).view(flat)
        if self.affine:
            found = found * self.weight.view(flat) + self.bias.view(flat)
        return found.to(input.dtype)

    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        self.num_batches_tracked.add_(1)
        share = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * (count / (count - 1)), share)

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002
        """Of any number of dimensions."""


class _Mean(torch.autograd.Function):  # type: ignore[misc]
    """Of all processes; so is its gradient."""

    @staticmethod
    def forward(_: Any, value: Tensor) -> Tensor:
        """Of this process's."""
        return mean_of_all(value)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        """Every process's result depends on this one's value."""
        return mean_of_all(gradient)
