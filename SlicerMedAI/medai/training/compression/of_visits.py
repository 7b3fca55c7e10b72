"""Compression of forecasters: they are told of visits, and judged by how those went on."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from medai.bundles.description import Description
from medai.bundles.quantized import in_float
from medai.errors import InputError
from medai.networks.forecaster import SeriesForecaster
from medai.progress import Report
from medai.tasks.forecast.course import LEAST_VISITS
from medai.tasks.forecast.model import ForecastModel
from medai.training.components.forecasting import ForecastLoss
from medai.training.components.visits import prefixes
from medai.training.compression import comparison, samples
from medai.training.compression.comparison import Judged
from medai.training.compression.compiled import Call
from medai.training.compression.request import CompressionRequest
from medai.training.compression.work import Lessons, Shown, Work
from medai.training.data import DataList
from medai.transforms.visits import AT, FRAMES, TIMES, VALUES

if TYPE_CHECKING:
    from medai.engine.loaded import LoadedModels

_AT_ONCE = 8
_TRUTH_SHARE = 0.5


class OfVisits(Work):
    """A model that is told of the visits of a subject.

    Parameters
    ----------
    description : Description
    model : ForecastModel
        On the CPU.
    data : DataList
        Visits.
    seed : int
        Of the division of undivided data.

    Raises
    ------
    InputError
        When the network is not one of medai's, or there is nothing to learn from.
    """

    whole = False
    one = "series"
    looking = "Looking at visits"

    def __init__(self, description: Description, model: ForecastModel, data: DataList, seed: int) -> None:
        if not isinstance(model.network, SeriesForecaster):
            raise InputError(
                f"The model '{description.name}' cannot be compressed.",
                f"Its network is a {type(model.network).__name__}, of which it is not known how it is called.",
                "Choose a forecaster that was trained with medai.",
            )
        self.description, self.model = description, model
        self.network = in_float(model.network)
        self.given = (VALUES, TIMES, AT, *((FRAMES,) if model.images else ()))
        self.learned, held_out = samples.divided(data, "forecast", seed)
        # With two visits only, nobody knows how they went on.
        later = prefixes(held_out, model.targets, least=LEAST_VISITS)
        self.held_out = held_out if later else held_out.with_items(())

    def calls(self, request: CompressionRequest, at: Callable[[int, int], None]) -> list[Call]:
        """Series of as many visits and dates together, some at once."""
        cases = self._cases(request.calibration, at)
        alike: dict[tuple[int, int], list[dict[str, Tensor]]] = defaultdict(list)
        for case in cases:
            alike[len(case[TIMES]), len(case[AT])].append(case)
        return [
            tuple(torch.stack([case[name] for case in some[first : first + _AT_ONCE]]) for name in self.given)
            for some in alike.values()
            for first in range(0, len(some), _AT_ONCE)
        ]

    def lessons(self, request: CompressionRequest, at: Callable[[int, int], None]) -> Lessons:  # noqa: ARG002 - all is learned from
        """Every prefix of every subject's visits, all padded to the longest."""
        cases = self._cases(0, at)
        visits, dates = (max(len(case[name]) for case in cases) for name in (TIMES, AT))
        longest = {VALUES: visits, TIMES: visits, FRAMES: visits, AT: dates, "label": dates}
        assert isinstance(self.network, SeriesForecaster)
        teacher = copy.deepcopy(self.network)
        # What each member says, not their mixture; without the training's dropout, which is theirs.
        teacher.training = True
        told = f"Trained on {len(cases)} series of visits against the original, and on how they went on."
        padded = [{name: _padded(value, longest[name]) for name, value in case.items()} for case in cases]
        changes = self.network.changes[self.network.targets].tolist()
        return Lessons(padded, self.given, teacher, AgainstForecaster(changes), (), told)

    def judged(self, root: Path, report: Report, loaded: LoadedModels) -> tuple[Judged, ...]:
        """By the forecast error of the next visit of each target, and by the classes."""
        return comparison.evaluated(self.description, root, self.held_out, report, loaded)

    def shown(self) -> Shown:
        """The longest series."""
        (longest,) = sorted(self._cases(0, lambda *_: None), key=_length)[-1:]
        return tuple(longest[name][None] for name in self.given)

    def _cases(self, most: int, at: Callable[[int, int], None]) -> list[dict[str, Tensor]]:
        """What the network is told of each prefix; of all, or of some that are evenly spread."""
        found = prefixes(self.learned, self.model.targets, images=self.model.images)
        if not found:
            raise InputError(
                "There is nothing to learn from.",
                "Of no subject is anything known after its first visit.",
                "Name data with two or more visits of each subject (--data).",
            )
        step = -(-len(found) // most) if most else 1
        cases: list[dict[str, Tensor]] = []
        for case in found[::step]:
            at(len(cases), len(found[::step]))
            assert self.model.preprocessing is not None
            sample = self.model.preprocessing({name: case[name] for name in ("visits", "at", "label")})
            cases.append({name: sample[name] for name in (*self.given, "label")})
        return cases


class AgainstForecaster:
    """How far a student's members are from their teacher's, and from what happened.

    Parameters
    ----------
    changes : sequence of float, length P
        Each target's typical change in a year, in units of which distances count.
    """

    def __init__(self, changes: Sequence[float]) -> None:
        self._changes = torch.tensor(list(changes))
        self._truth = ForecastLoss(changes)

    def __call__(self, pred: Tensor, target: Mapping[str, Any]) -> Tensor:
        """Mean over what was asked.

        Parameters
        ----------
        pred : Tensor, shape (B, M, H, 2 P + K)
        target : dict
            ``"teacher"``: one tensor of the same shape; ``"label"``: shape (B, H, P + 1).
        """
        asked = ~target["teacher"][0].isnan()
        student, teacher = (self._comparable(torch.where(asked, one, 1.0)) for one in (pred, target["teacher"][0]))
        away = functional.smooth_l1_loss(student, teacher, reduction="none")
        distance = torch.where(asked, away, 0).sum() / asked.sum().clamp(min=1)
        return distance + _TRUTH_SHARE * torch.as_tensor(self._truth(pred, target["label"]))

    def _comparable(self, forecast: Tensor) -> Tensor:
        """Locations in changes of a year, logarithms of the scales, logits."""
        count = len(self._changes)
        location, scale, logits = forecast.split([count, count, forecast.shape[-1] - 2 * count], -1)
        return torch.cat([location / self._changes, scale.clamp(min=1e-9).log(), logits], -1)


def _padded(value: Tensor, length: int) -> Tensor:
    more = torch.full((length - len(value), *value.shape[1:]), torch.nan)
    return torch.cat([value.float(), more])


def _length(case: Mapping[str, Tensor]) -> int:
    return len(case[TIMES])
