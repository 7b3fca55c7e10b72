"""What a compression has won and lost: the costs of both models, and the task's scores on the same cases."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medai.bundles.description import Description
from medai.progress import Progress, Report
from medai.result import Table
from medai.training.data import DataList
from medai.training.evaluation import Estimate, Evaluation
from medai.training.evaluation.bootstrap import Interval, interval
from medai.training.evaluation.cases import Row, numbers
from medai.training.evaluation.classification import binary_metrics
from medai.training.evaluation.detection import average_precisions
from medai.training.evaluation.findings import (
    ClassificationDetails,
    DetectionDetails,
    ForecastDetails,
    SynthesisDetails,
)
from medai.training.judge import judge

if TYPE_CHECKING:
    from medai.engine.loaded import LoadedModels
    from medai.training.compression.costing import Cost

METRICS = {
    "segment": ("dice",),
    "classify": ("auroc",),
    "detect": ("map@0.50",),
    "denoise": ("psnr_db",),
    "encode": ("psnr_db",),
    "translate": ("psnr_db",),
    "forecast": ("mae_next", "auroc"),
    "synthesize": ("fid",),
}
"""By which each task is judged."""
_LOWER = ("mae_next", "fid")
"""Those that are better when they are lower."""
_NAN = math.nan
_Score = Callable[[NDArray[np.intp]], float]


@dataclass(frozen=True)
class Judged:
    """One of the task's metrics before and after, on the same cases.

    Parameters
    ----------
    before, after : Estimate
    difference : Interval
        After minus before, every draw the same patients for both.
    lower : bool
        Whether lower is better.
    """

    before: Estimate
    after: Estimate
    difference: Interval
    lower: bool = False

    @property
    def fall(self) -> float:
        """What was lost, as a share of what it was; below 0 when it is better."""
        lost = (self.after.value - self.before.value) * (1 if self.lower else -1)
        if self.before.value:
            return lost / abs(self.before.value)
        return math.inf if lost > 0 else 0.0

    @property
    def named(self) -> str:
        """The metric, and of what."""
        return f"{self.before.metric} ({self.before.label})" if self.before.label else self.before.metric


def evaluated(
    original: Description, root: Path, held_out: DataList, report: Report, loaded: LoadedModels
) -> tuple[Judged, ...]:
    """Evaluate both models on the same cases as `medai.evaluate` does; empty without any."""
    if not len(held_out):
        return ()
    found = []
    for stage, (place, backend) in enumerate(((original.root, "torch"), (root, "auto"))):
        named = ("Judging the original", "Judging the new model")[stage]

        def tell(progress: Progress, named: str = named) -> None:
            report(Progress(named, progress.done, progress.total, progress.elapsed_s, progress.eta_s))

        found.append(judge(place, held_out, tell, loaded, backend=backend))
    return judged(original.task, *found)


def judged(task: str, before: Evaluation, after: Evaluation) -> tuple[Judged, ...]:
    """Both evaluations' metrics with the intervals of their differences; those that are defined.

    The distance of all images of a generator from all real ones is no mean over cases, so nothing can be paired there.
    """
    found = []
    for name in METRICS[task]:
        for one in _estimates(before, name):
            other = next(each for each in _estimates(after, name) if each.label == one.label)
            if not math.isfinite(one.value) or not math.isfinite(other.value):
                continue
            if isinstance(before.details, SynthesisDetails):
                apart = Interval(other.value - one.value, _NAN, _NAN)
            else:
                first, people = _scored(before, one)
                second, _ = _scored(after, other)
                places = np.arange(len(people))
                apart = interval(lambda index, a=first, b=second: b(index) - a(index), (places,), people)
            found.append(Judged(one, other, apart, name in _LOWER))
    return tuple(found)


def table(before: Cost, after: Cost, in_openvino: float, found: Sequence[Judged], one: str) -> Table:
    """One row per quantity, times of `one` image or series; intervals are of 95 %, that of the difference is paired."""
    mb, ms = 1e6, 1e-3
    rows: list[tuple[str, str, float, float]] = [
        ("Bundle on the disk", "MB", before.bundle / mb, after.bundle / mb),
        ("Weights computed with", "MB", before.weights / mb, after.weights / mb),
        ("Parameters", "", before.parameters, after.parameters),
        (f"CPU time per {one}", "ms", before.seconds / ms, after.seconds / ms),
        ("Peak memory", "MB", before.memory / mb, after.memory / mb),
    ]
    if math.isfinite(in_openvino):
        rows.insert(4, ("CPU time, before in OpenVINO", "ms", in_openvino / ms, after.seconds / ms))
    columns: dict[str, list[object]] = {
        "Quantity": [row[0] for row in rows],
        "Unit": [row[1] for row in rows],
        "Before": [round(row[2], 3) for row in rows],
        "After": [round(row[3], 3) for row in rows],
        "After / before": [round(row[3] / row[2], 3) if row[2] else _NAN for row in rows],
    }
    for name in _INTERVALS:
        columns[name] = [_NAN] * len(rows)
    for score in found:
        b, a, d = score.before, score.after, score.difference
        ratio = a.value / b.value if b.value else _NAN
        intervals = (b.low, b.high, a.low, a.high, d.value, d.low, d.high, b.n)
        values: tuple[object, ...] = (score.named, b.unit, b.value, a.value, ratio, *intervals)
        for column, value in zip(columns.values(), values, strict=True):
            column.append(float(f"{value:.4g}") if isinstance(value, float) else value)
    return Table({name: tuple(values) for name, values in columns.items()}, "comparison")


_INTERVALS = (
    "Before, low",
    "Before, high",
    "After, low",
    "After, high",
    "Difference",
    "Difference, low",
    "Difference, high",
    "Cases",
)


def _estimates(found: Evaluation, name: str) -> list[Estimate]:
    """The mean over structures where there is one; else those of all, as of several targets of a forecast."""
    named = [estimate for estimate in found.summary.estimates if estimate.metric == name]
    mean = [estimate for estimate in named if not estimate.label]
    return mean or (named if isinstance(found.details, ForecastDetails) else named[:1])


def _scored(found: Evaluation, estimate: Estimate) -> tuple[_Score, list[Hashable]]:
    """The metric as a function of the positions of cases, and whose cases they are."""
    name, details, cases = estimate.metric, found.details, _cases(found)
    people: list[Hashable] = [patient or case for case, patient in cases]
    if isinstance(details, ForecastDetails) and name in _LOWER:
        return _errors(found, estimate.label)
    if isinstance(details, ForecastDetails) and details.classes is not None:
        return _areas(details.classes), list(range(len(details.classes.truth)))  # once per subject
    if isinstance(details, DetectionDetails):
        count = details.matches.images

        def precision(index: NDArray[np.intp]) -> float:
            weights = np.bincount(index, minlength=count).astype(np.float64)
            return average_precisions(details.matches, weights).get(name, _NAN)

        return precision, _each(people, count)
    if isinstance(details, ClassificationDetails):
        return _areas(details), _each(people, len(details.truth))
    values: dict[tuple[str, str], list[float]] = {case: [] for case in cases}
    for row, value in zip(found.rows, numbers(list(found.rows), name), strict=True):
        values[_case(row)].append(float(value))
    means = np.array([_mean(values[case]) for case in cases])
    return lambda index: _mean(means[index].tolist()), people


def _errors(found: Evaluation, target: str) -> tuple[_Score, list[Hashable]]:
    """The mean absolute error of a target at the next visit."""
    rows = [row for row in found.rows if row["target"] == target and row["next"]]
    errors = np.abs(numbers(rows, "error"))
    return lambda index: float(errors[index].mean()), [str(row["patient"] or row["case"]) for row in rows]


def _areas(details: ClassificationDetails) -> _Score:
    truth, said = details.truth, details.probability
    return lambda index: _mean([_auroc(truth[index, n], said[index, n]) for n in range(truth.shape[1])])


def _each(people: list[Hashable], count: int) -> list[Hashable]:
    """Cases of one name cannot be told apart, so each is somebody's own."""
    return people if len(people) == count else list(range(count))


def _auroc(truth: NDArray[np.float64], score: NDArray[np.float64]) -> float:
    known = ~np.isnan(truth)
    kept = truth[known]
    return binary_metrics(kept, score[known])["auroc"] if kept.any() and not kept.all() else _NAN


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else _NAN


def _case(row: Row) -> tuple[str, str]:
    return str(row["case"]), str(row["patient"])


def _cases(found: Evaluation) -> list[tuple[str, str]]:
    return list(dict.fromkeys(_case(row) for row in found.rows))
