"""A recurrent network over the visits of one subject: what will be measured at a date, how surely, and which class.

Gaps of any length, missing visits and missing values are ordinary input. They enter as what they are (a time gap, a
mask), as in GRU-D (Che et al., Sci Rep 8 (2018) 6085); nothing is filled in. Not in MONAI or torch: both know the parts
(an encoder of images, a GRU), but not how they go together here.

A value is forecast as a change from the last one that is known, so that the untrained network carries it forward. A
rate of change of the network's own and the subject's least-squares slope, shrunken the more the fewer visits there are
(as the random slopes of a mixed model; Laird & Ware, Biometrics 38 (1982) 963), lead away from there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

_LOGISTIC_SD = math.pi / math.sqrt(3)  # standard deviation of a logistic distribution of scale 1
_SMALLEST = 1e-3
_FARTHEST = 20.0  # spreads; what lies farther out is a mistake, and must not blind the network to all else
CELLS = {"gru": nn.GRU, "lstm": nn.LSTM}


class SeriesForecaster(nn.Module):  # type: ignore[misc]
    """An ensemble of small recurrent networks with one encoder of images.

    Parameters
    ----------
    means, spreads : sequence of float, length F
        Of each measurement over the training visits, in its own unit: they are taken out inside the network.
    changes : sequence of float, length F
        Typical size of each measurement's change in a year.
    targets : sequence of int, length P
        Places of the measurements that are forecast.
    classes : int
        Classes of subjects that are told apart, K; 0 for none.
    encoder : torch.nn.Module, optional
        From images of shape (N, 1, ...) to (N, `features`); shared by all visits and members.
    features : int
        Numbers that describe an image; 0 without an encoder.
    cell : str
        ``"gru"`` or ``"lstm"``.
    hidden : int
        Width of each member.
    members : int
        Networks of the ensemble (Lakshminarayanan et al., NeurIPS 2017), which begin with different weights.
    dropout : float
    spread : sequence of float, length P
        What the scales of each target are multiplied by: 1, or what calibration on cases not learned from has found.
    temperature : float
        By which the classes' logits are divided (Guo et al., ICML 2017).
    """

    def __init__(
        self,
        means: Sequence[float],
        spreads: Sequence[float],
        changes: Sequence[float],
        targets: Sequence[int],
        *,
        classes: int = 0,
        encoder: nn.Module | None = None,
        features: int = 0,
        cell: str = "gru",
        hidden: int = 16,
        members: int = 5,
        dropout: float = 0.0,
        spread: Sequence[float] = (),
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        for name, numbers in (("means", means), ("spreads", spreads), ("changes", changes)):
            self.register_buffer(name, torch.tensor([float(one) for one in numbers]), persistent=False)
        self.register_buffer("targets", torch.tensor([int(one) for one in targets]), persistent=False)
        calibrated = [float(one) for one in spread] or [1.0] * len(targets)
        self.register_buffer("spread", torch.tensor(calibrated), persistent=False)
        self.classes, self.features, self.temperature = classes, features, temperature
        self.encoder = encoder
        inputs = 4 * len(means) + 2 + (features + 1 if encoder is not None else 0)
        self.members = nn.ModuleList(
            _Member(inputs, hidden, targets=len(targets), classes=classes, cell=cell, dropout=dropout)
            for _ in range(members)
        )

    def forward(self, values: Tensor, times: Tensor, at: Tensor, frames: Tensor | None = None) -> Tensor:
        """Forecasts.

        Parameters
        ----------
        values : Tensor, shape (B, T, F)
            Measurements of every visit in their own units; NaN where one is missing.
        times : Tensor, shape (B, T)
            Years, increasing, from any beginning; NaN after the last visit of a shorter series.
        at : Tensor, shape (B, H)
            Years from the same beginning at which to forecast; NaN gives NaN.
        frames : Tensor, shape (B, T, 1, ...), optional
            Image of every visit, normalised; one that is missing is NaN throughout.

        Returns
        -------
        Tensor, shape (B, H, 2 P + K)
            Locations and scales of logistic distributions in the targets' units, then logits of the classes. In
            training (B, M, H, 2 P + K), of each member for itself.
        """
        visits = self._described(values, times)
        if self.encoder is not None:
            visits = torch.cat([visits, *self._encoded(frames, times)], -1)
        line = _Line.of(values[..., self.targets], times)
        length = (~times.isnan()).sum(1).clamp(min=1)
        found = torch.stack([self._forecast(member, visits, length, line, at) for member in self.members], 1)
        return found if self.training else self._together(found)

    def _described(self, values: Tensor, times: Tensor) -> Tensor:
        """Values, masks, changes since the last known value and the time since then, and gaps between visits."""
        known = ~values.isnan()
        scaled = torch.where(known, (values - self.means) / self.spreads, 0).clamp(-_FARTHEST, _FARTHEST)
        before, moment = _last_known_before(values, times)
        compared = known & ~before.isnan()
        change = torch.where(compared, (values - before) / self.changes, 0).clamp(-_FARTHEST, _FARTHEST)
        since = torch.where(compared, times.unsqueeze(-1) - moment, 0).clamp(min=0)
        gap = torch.zeros_like(times)
        gap[:, 1:] = times.diff(dim=1)
        passed = times - times[:, :1]
        moments = torch.stack([gap, passed], -1).nan_to_num(0.0)
        return torch.cat([scaled, known.to(scaled), change, torch.log1p(since), moments], -1)

    def _encoded(self, frames: Tensor | None, times: Tensor) -> tuple[Tensor, Tensor]:
        """How the image has changed since the last visit that has one, and which visits those are.

        What a subject looks like tells who it is: of a few hundred subjects a network learns that by heart, and with it
        how each of them went on. Changes tell no identity.
        """
        found = torch.full((*times.shape, self.features), torch.nan, device=times.device)
        if frames is None:
            return torch.zeros_like(found), torch.zeros((*times.shape, 1), device=times.device)
        seen = ~frames.flatten(2).isnan().any(2) & ~times.isnan()
        if seen.any():
            assert self.encoder is not None
            found = found.masked_scatter(seen.unsqueeze(-1), self.encoder(frames[seen]).to(found))
        before, _ = _last_known_before(found, times)
        compared = ~found.isnan() & ~before.isnan()
        change = torch.where(compared, found.nan_to_num() - before.nan_to_num(), 0)
        return change, compared[..., :1].to(change)

    def _forecast(self, member: nn.Module, visits: Tensor, length: Tensor, line: _Line, at: Tensor) -> Tensor:
        rate, level, offset, near, far, blend, logits = member(visits, length)
        changes, means, spreads = (each[self.targets] for each in (self.changes, self.means, self.spreads))
        rate = rate * changes + blend * line.weight(member.shrink()) * (line.slope - rate * changes)
        # Of a subject in whom it was never measured, the network says what it is like; unsurely.
        guessed = means + level * spreads
        start = torch.where(line.known, line.last + offset * changes, guessed)
        asked = at.nan_to_num(0.0)  # a NaN that is masked afterwards would still reach the gradients
        horizon = (asked.unsqueeze(-1) - line.moment.unsqueeze(1)).clamp(min=0)  # (B, H, P)
        location = start.unsqueeze(1) + rate.unsqueeze(1) * horizon
        unsure = torch.where(line.known, near * changes, spreads * (0.5 + near)).unsqueeze(1)
        scale = torch.sqrt(unsure**2 + (far * changes).unsqueeze(1) ** 2 * horizon**2)
        told = logits.unsqueeze(1).expand(-1, at.shape[1], -1)
        found = torch.cat([location, scale, told], -1)
        return torch.where(at.isnan().unsqueeze(-1), torch.nan, found)

    def _together(self, found: Tensor) -> Tensor:
        """The members' mixture, by a logistic distribution of its mean and variance; the mean of the probabilities."""
        count = len(self.targets)
        location, scale, logits = found.split([count, count, self.classes], -1)
        variance = (scale * _LOGISTIC_SD) ** 2
        total = variance.mean(1) + location.var(1, correction=0)
        scale = total.sqrt() / _LOGISTIC_SD * self.spread
        # Logits whose softmax is the mean of the members' probabilities, sharpened or softened by the temperature.
        logits = logits.log_softmax(-1).logsumexp(1) - math.log(found.shape[1])
        return torch.cat([location.mean(1), scale, logits / self.temperature], -1)


class _Member(nn.Module):  # type: ignore[misc]
    """One recurrent network with its heads, which all begin with nothing."""

    def __init__(self, inputs: int, hidden: int, *, targets: int, classes: int, cell: str, dropout: float) -> None:
        super().__init__()
        self.targets, self.classes = targets, classes
        self.enter = nn.Sequential(nn.Linear(inputs, hidden), nn.LayerNorm(hidden), nn.GELU(), nn.Dropout(dropout))
        self.recurrent = CELLS[cell](hidden, hidden, batch_first=True)
        self.leave = nn.Sequential(nn.LayerNorm(2 * hidden), nn.Dropout(dropout))
        self.head = nn.Linear(2 * hidden, 5 * targets + classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.blend = nn.Parameter(torch.zeros(targets))
        self.shrinkage = nn.Parameter(torch.full((targets,), 2.0))

    def shrink(self) -> Tensor:
        """Squared years of spread between visits at which half of a subject's own slope is believed, shape (P,)."""
        return nn.functional.softplus(self.shrinkage)

    def forward(self, visits: Tensor, length: Tensor) -> tuple[Tensor, ...]:
        entered = self.enter(visits)
        states, _ = self.recurrent(entered)
        last = (length - 1)[:, None, None].expand(-1, 1, states.shape[2])
        both = torch.cat([states.gather(1, last), entered.gather(1, last)], -1).squeeze(1)
        rate, level, offset, near, far, logits = self.head(self.leave(both)).split(
            [self.targets] * 5 + [self.classes], -1
        )
        positive = nn.functional.softplus
        return rate, level, offset, positive(near) + _SMALLEST, positive(far) + _SMALLEST, self.blend, logits


class _Line:
    """The last known value of each target, and the straight line through all that are known.

    Attributes
    ----------
    known : Tensor of bool, shape (B, P)
    last, moment : Tensor, shape (B, P)
        Value and time in years; of one that was never measured, 0 and the time of the last visit.
    slope : Tensor, shape (B, P)
        Least squares, in units per year; 0 with fewer than two values.
    spread : Tensor, shape (B, P)
        Sum of the squared distances of the visits from their mean in time, years squared.
    """

    def __init__(self, known: Tensor, last: Tensor, moment: Tensor, slope: Tensor, spread: Tensor) -> None:
        self.known, self.last, self.moment, self.slope, self.spread = known, last, moment, slope, spread

    @classmethod
    def of(cls, values: Tensor, times: Tensor) -> _Line:
        """Of values (B, T, P), NaN where they are missing, at times (B, T)."""
        there = ~values.isnan() & ~times.isnan().unsqueeze(-1)
        when = times.unsqueeze(-1).expand_as(values)
        value, moment = (torch.where(there, each, 0) for each in (values, when))
        place = torch.arange(values.shape[1], device=values.device)[None, :, None]
        last = torch.where(there, place, -1).amax(1, keepdim=True)
        known = (last >= 0).squeeze(1)
        chosen = last.clamp(min=0)
        end = times.nan_to_num(-math.inf).amax(1, keepdim=True)
        count = there.sum(1).clamp(min=1)
        apart = torch.where(there, moment - (moment.sum(1) / count).unsqueeze(1), 0)
        spread = (apart**2).sum(1)
        slope = (apart * value).sum(1) / spread.clamp(min=1e-6)
        return cls(
            known,
            value.gather(1, chosen).squeeze(1),
            torch.where(known, moment.gather(1, chosen).squeeze(1), end),
            torch.where(spread > 1e-6, slope, 0),
            spread,
        )

    def weight(self, shrinkage: Tensor) -> Tensor:
        """How far the slope is believed, 0 to 1."""
        return self.spread / (self.spread + shrinkage)


def _last_known_before(values: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
    """Of every visit, the value that was known last before it, and when; NaN where none was."""
    value = [torch.full_like(values[:, 0], torch.nan)]
    moment = [torch.full_like(values[:, 0], torch.nan)]
    for visit in range(values.shape[1] - 1):
        known = ~values[:, visit].isnan()
        value.append(torch.where(known, values[:, visit], value[-1]))
        moment.append(torch.where(known, times[:, visit, None], moment[-1]))
    return torch.stack(value, 1), torch.stack(moment, 1)
