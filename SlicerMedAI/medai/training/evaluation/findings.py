"""What an evaluation of one kind hands to the summary, the table and the report."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medai.errors import InputError
from medai.training.evaluation.bootstrap import Bootstrap, Interval, intervals
from medai.training.evaluation.cases import AnyCase, Case, Row
from medai.training.evaluation.detection import IOU_THRESHOLDS, Matches
from medai.training.evaluation.summary import Estimate
from medai.training.evaluation.undefined import Undefined
from medai.volume import Volume

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Options:
    """What can be chosen of an evaluation.

    Parameters
    ----------
    how : Bootstrap
        Of the confidence intervals.
    worst : int
        How many of the worst cases the report shows.
    threshold : float or tuple of float
        Probability or score from which on a finding counts, one for all or one per finding.
    operating_point : "youden", float or None
        Binary classification: choose the threshold on these very cases, by Youden's J or for a wanted sensitivity.
        The summary then says that this flatters the model.
    bins : int
        Of the calibration error and the reliability plot.
    iou : float
        Overlap from which on a box is found, for FROC, the table of cases and pictures.
    iou_thresholds : tuple of float
        For average precision; `iou` is added.
    """

    how: Bootstrap = field(default_factory=Bootstrap)
    worst: int = 8
    threshold: float | tuple[float, ...] = 0.5
    operating_point: Literal["youden"] | float | None = None
    bins: int = 15
    iou: float = 0.5
    iou_thresholds: tuple[float, ...] = IOU_THRESHOLDS


@dataclass(frozen=True, eq=False)
class Worst:
    """A case among the worst.

    Parameters
    ----------
    case : Case
        With its image.
    badness : float
        Higher is worse; only for the order.
    caption : str
        What went wrong, for a person.
    """

    case: AnyCase
    badness: float
    caption: str


class WorstCases:
    """The worst of many cases, which may pass by one at a time: the others' images can be forgotten."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heap: list[tuple[float, int, Worst]] = []
        self._seen = 0

    def offer(self, case: AnyCase, badness: float, caption: str) -> None:
        """Keep the case while it is among the worst; of equally bad ones the earlier."""
        self._seen += 1
        if self._limit < 1 or np.isnan(badness):
            return
        entry = (badness, -self._seen, Worst(case, badness, caption))
        if len(self._heap) < self._limit:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)

    def ranked(self) -> tuple[Worst, ...]:
        """The worst first."""
        return tuple(entry[-1] for entry in sorted(self._heap, key=lambda e: e[:2], reverse=True))


@dataclass(frozen=True, eq=False)
class ClassificationDetails:
    """What the plots of a classifier need.

    Parameters
    ----------
    mode : str
        ``"binary"``, ``"multiclass"`` or ``"multilabel"``.
    labels : tuple of str
        Names of the curves: the positive class, the classes or the findings.
    classes : tuple of str
        Names along the confusion matrix, which is None for several findings at once.
    truth, probability : ndarray, shape (N, len(labels))
        0, 1 or NaN, and what the model said.
    outcome, confidence : ndarray
        For the reliability plot.
    thresholds : tuple of float
        Of each label.
    """

    mode: str
    labels: tuple[str, ...]
    classes: tuple[str, ...]
    truth: Floats
    probability: Floats
    confusion: NDArray[np.intp] | None
    outcome: Floats
    confidence: Floats
    thresholds: tuple[float, ...]
    bins: int


@dataclass(frozen=True)
class SegmentationDetails:
    """Structures by name, with their value in a labelmap that has no names."""

    labels: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class DetectionDetails:
    """All matches, the overlap that counts and the score that counts."""

    matches: Matches
    iou: float
    threshold: float


@dataclass(frozen=True)
class RestorationDetails:
    """Whether the model's input was there to compare with."""

    has_degraded: bool


@dataclass(frozen=True, eq=False)
class SynthesisDetails:
    """Some synthetic and some real images to look at, and what the plots need.

    Parameters
    ----------
    made, real : tuple of Volume
    distances : mapping of str to ndarray
        To the nearest training image, by where the images come from.
    frechet : mapping of str to Interval
        As `medai.training.evaluation.synthesis.frechet_with_floor` gives it.
    """

    made: tuple[Volume, ...]
    real: tuple[Volume, ...]
    distances: Mapping[str, Floats]
    frechet: Mapping[str, Interval]


@dataclass(frozen=True, eq=False)
class ForecastDetails:
    """What the plots of a forecaster need.

    Parameters
    ----------
    targets : tuple of str
    confidence : float
        Of the intervals in the table of cases.
    classes : ClassificationDetails or None
        Of subjects, where the model tells classes apart.
    """

    targets: tuple[str, ...]
    confidence: float
    classes: ClassificationDetails | None = None


Details = (
    ClassificationDetails
    | SegmentationDetails
    | DetectionDetails
    | RestorationDetails
    | SynthesisDetails
    | ForecastDetails
)


@dataclass(frozen=True, eq=False)
class Findings:
    """Everything one kind of evaluation found."""

    rows: list[Row]
    estimates: tuple[Estimate, ...]
    details: Details
    worst: tuple[Worst, ...]
    people: tuple[str, ...]
    settings: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def defined_mean(values: Floats) -> float:
    """Mean of the finite ones."""
    kept = values[np.isfinite(values)]
    return float(kept.mean()) if kept.size else Undefined("not defined for any case")


def mean_estimates(
    columns: Mapping[str, Floats], people: Sequence[Hashable], how: Bootstrap, units: Mapping[str, str]
) -> tuple[Estimate, ...]:
    """Means over cases, with intervals, of metrics that each case has for itself.

    Parameters
    ----------
    columns : mapping of str to ndarray, shape (N,)
        By key; cases in which a metric is not defined are left out of its mean.
    units : mapping of str to str
        By the part of the key before its label.
    """
    table = np.column_stack(list(columns.values()))
    usable = np.isfinite(table)
    filled = np.where(usable, table, 0)

    def means(values: Floats, known: NDArray[np.bool_]) -> dict[str, float]:
        count = known.sum(axis=0)
        total = np.divide(values.sum(axis=0), count, out=np.full(len(count), np.nan), where=count > 0)
        return dict(zip(columns, total.tolist(), strict=True))

    found = intervals(means, (filled, usable), people, how)
    return tuple(
        Estimate.of(key, _explained(one), int(usable[:, n].sum()), units.get(key.partition("[")[0], ""))
        for n, (key, one) in enumerate(found.items())
    )


def _explained(one: Interval) -> Interval:
    return Interval(Undefined("not defined for any case"), one.low, one.high) if np.isnan(one.value) else one


def check_kind(case: Case, kind: type[Case]) -> None:
    """Refuse a case of another kind.

    Raises
    ------
    InputError
        When it is one.
    """
    if not isinstance(case, kind):
        raise InputError(
            "The model cannot be evaluated.",
            f"A case is a {type(case).__name__}; {kind.__name__} is needed for this task.",
            "Choose the task that the model was made for.",
        )
