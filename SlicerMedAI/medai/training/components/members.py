"""The networks of an ensemble learn side by side, and each for itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from ignite.engine import Engine
from torch import Tensor


class MembersLoss(torch.nn.Module):  # type: ignore[misc]
    """A loss for each member of a `medai.networks.Ensemble`, of its own share of the batch.

    Parameters
    ----------
    losses : sequence of torch.nn.Module
        One per member.
    """

    def __init__(self, losses: Sequence[torch.nn.Module]) -> None:
        super().__init__()
        self.losses = torch.nn.ModuleList(losses)

    def attach(self, engine: Engine) -> None:
        """Called by MONAI's engines."""
        for loss in self.losses:
            if hasattr(loss, "attach"):
                loss.attach(engine)

    def forward(self, logits: Tensor, target: Tensor | Mapping[str, Tensor]) -> Tensor:
        """The mean of the losses, whose gradient is that of their sum: each member steps as it would alone.

        Parameters
        ----------
        logits : Tensor, shape (M B, C)
            One member's after the other's.
        target : Tensor, or mapping of str to Tensor
            In the same order.
        """
        count = len(self.losses)
        shares = zip(logits.chunk(count), _shares(target, count), strict=True)
        each = [loss(*share) for loss, share in zip(self.losses, shares, strict=True)]
        total = torch.stack(each).sum()
        return total - (total - total / count).detach()


def _shares(target: Tensor | Mapping[str, Tensor], count: int) -> list[Any]:
    if not isinstance(target, Mapping):
        return list(target.chunk(count))
    parts = {name: values.chunk(count) for name, values in target.items()}
    return [{name: values[n] for name, values in parts.items()} for n in range(count)]
