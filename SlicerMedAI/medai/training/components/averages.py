"""Means over the processes of one training."""

from __future__ import annotations

from torch import Tensor, distributed


def mean_of_all(value: Tensor) -> Tensor:
    """The mean of what each process has, of the same shape in all of them; without a gradient."""
    total = value.detach().clone()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()
