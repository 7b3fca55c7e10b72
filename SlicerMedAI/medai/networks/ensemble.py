"""Several networks that answer as one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Ensemble(torch.nn.Module):  # type: ignore[misc]  # torch is not type-checked
    """The mean of what several classifiers say, each of which has learned for itself.

    Each errs on its own account, so their mean is nearer to the truth than any, and less sure where they disagree
    (Lakshminarayanan et al., NeurIPS 2017).

    Parameters
    ----------
    members : sequence of torch.nn.Module
        Each from images (B, C, *spatial) to logits (B, classes).
    apart : bool
        Whether in training each member gets images of its own, to learn for itself.
    """

    def __init__(self, members: Sequence[torch.nn.Module], *, apart: bool = False) -> None:
        super().__init__()
        self.apart = apart
        self.members = torch.nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        """The mean of the members' logits.

        Parameters
        ----------
        images : Tensor, shape (B, C, *spatial)
            In training, where members are `apart`, as many for each, one member's after the other's; then so are the
            logits.

        Returns
        -------
        Tensor, shape (B, classes)
        """
        if self.apart and self.training:
            shares = images.chunk(len(self.members))
            return torch.cat([member(share) for member, share in zip(self.members, shares, strict=True)])
        return torch.stack([member(images) for member in self.members]).mean(0)
