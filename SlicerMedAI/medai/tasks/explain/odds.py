"""What is explained: how much more probable one class is than all others together."""

from __future__ import annotations

import torch


class LogOdds(torch.nn.Module):  # type: ignore[misc]  # torch is not type-checked
    """A classifier's logits as log-odds: unlike probabilities they do not saturate, and unlike logits of classes that
    exclude each other they say something each for itself.

    Parameters
    ----------
    network : torch.nn.Module
        (B, C, *spatial) in; logits of shape (B, classes) out.
    exclusive : bool
        Whether just one class is true; else every logit is a finding's log-odds already.
    """

    def __init__(self, network: torch.nn.Module, *, exclusive: bool) -> None:
        super().__init__()
        self.network = network
        self._exclusive = exclusive
        # MONAI gives what it explains the mode back that it was in, and the network within it too.
        self.eval()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Log-odds of every class, shape (B, classes)."""
        logits = torch.as_tensor(self.network(image)).flatten(1)
        count = logits.shape[1]
        if not self._exclusive or count == 1:
            return logits
        itself = torch.eye(count, dtype=torch.bool, device=logits.device)
        others = logits.unsqueeze(1).expand(-1, count, -1).masked_fill(itself, -torch.inf)
        return logits - others.logsumexp(2)
