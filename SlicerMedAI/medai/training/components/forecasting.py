"""How well a forecast fits what was measured afterwards: as a loss, and as a score of a validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from ignite.metrics import Metric
from monai.handlers import from_engine
from monai.utils.enums import CommonKeys
from torch import Tensor
from torch.nn import functional


class ForecastLoss(torch.nn.Module):  # type: ignore[misc]
    """Negative logarithm of the probability that the forecast gave to what happened.

    Of values, that of the logistic distribution of `medai.networks.SeriesForecaster`: a proper score (Gneiting and
    Raftery, J Am Stat Assoc 102 (2007) 359), so it pays to say how sure one is. Of classes, cross entropy. What is not
    known (NaN) does not count.

    Parameters
    ----------
    changes : sequence of float, length P
        Each target's typical change in a year, in whose units its scale is judged.
    class_weight : float
        Of the cross entropy beside the values.
    smoothing : float
        Share of the truth that is spread over all classes (Szegedy et al., CVPR 2016).
    """

    def __init__(self, changes: Sequence[float], *, class_weight: float = 1.0, smoothing: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("changes", torch.tensor([float(one) for one in changes]), persistent=False)
        self.class_weight, self.smoothing = class_weight, smoothing

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Mean over what is known.

        Parameters
        ----------
        pred : Tensor, shape (B, H, 2 P + K), or (B, M, H, 2 P + K) of several members
        target : Tensor, shape (B, H, P + 1)
            Values, and in the last column the class.
        """
        if pred.ndim == 4:
            target = target.unsqueeze(1).expand(-1, pred.shape[1], -1, -1)
        count = len(self.changes)
        changes = self.changes.to(pred)
        location, scale, logits = pred.split([count, count, pred.shape[-1] - 2 * count], -1)
        truth = target[..., :count].to(pred)
        known = ~truth.isnan() & ~location.isnan()
        away = (torch.where(known, truth, 0) - torch.where(known, location, 0)) / torch.where(known, scale, 1)
        each = away.abs() + 2 * functional.softplus(-away.abs()) + torch.log(torch.where(known, scale, 1) / changes)
        total = torch.where(known, each, 0).sum() / known.sum().clamp(min=1)
        if logits.shape[-1]:
            total = total + self.class_weight * self._classes(logits, target[..., -1])
        return total

    def _classes(self, logits: Tensor, target: Tensor) -> Tensor:
        # A subject is of one class at all dates, so its first row says it once.
        first, truth = logits[..., 0, :].flatten(0, -2), target[..., 0].flatten().to(logits)
        known = ~truth.isnan()
        if not known.any():
            return logits.nan_to_num().sum() * 0
        return functional.cross_entropy(first[known], truth[known].long(), label_smoothing=self.smoothing)


class ForecastScore(Metric):  # type: ignore[misc]
    """`ForecastLoss` over all cases at once, higher for better forecasts.

    Parameters
    ----------
    loss : ForecastLoss
    """

    def __init__(self, loss: ForecastLoss) -> None:
        self.loss = loss
        self._pairs: list[tuple[Tensor, Tensor]] = []
        super().__init__(output_transform=from_engine([CommonKeys.PRED, CommonKeys.LABEL]))

    def reset(self) -> None:
        """Forget all cases."""
        self._pairs = []

    def update(self, output: tuple[Sequence[Any], Sequence[Any]]) -> None:
        """Another batch: what was forecast and what happened, one per case."""
        self._pairs += [
            (torch.as_tensor(one).detach().cpu().double(), torch.as_tensor(other).detach().cpu().double())
            for one, other in zip(*output, strict=True)
        ]

    def compute(self) -> float:
        """The mean logarithm of the probability."""
        preds, labels = zip(*self._pairs, strict=True)
        return -float(self.loss.cpu()(torch.stack(preds), torch.stack(labels)))
