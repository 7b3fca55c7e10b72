"""Confidence intervals by drawing patients again (Efron & Tibshirani, An Introduction to the Bootstrap, 1993).

Several images of one patient resemble each other, so they are drawn together or not at all: an interval from drawing
images would be too narrow (the cluster bootstrap; Davison & Hinkley 1997, section 3.8).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medai.errors import InputError
from medai.training.evaluation.checks import check_lengths
from medai.training.evaluation.undefined import Undefined

Arrays = Sequence[NDArray[Any]]
Metrics = Callable[..., Mapping[str, float]]
Method = Literal["percentile", "bca"]

FEWEST_DEFINED = 0.5
"""Of the draws, the part in which a metric must exist; below, an interval would describe a lucky selection."""


@dataclass(frozen=True)
class Interval:
    """A value with its confidence interval; NaN (`Undefined`, with a reason) where there is none."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made.

    Parameters
    ----------
    resamples : int
        Draws of as many patients as there are, with replacement.
    confidence : float
        Part of the draws inside the interval.
    seed : int
        Same seed and same cases in the same order, same interval.
    method : str
        ``"percentile"``; or ``"bca"``, bias-corrected and accelerated (Efron 1987), better for few or skewed data and
        slower by one computation per patient.
    """

    resamples: int = 1000
    confidence: float = 0.95
    seed: int = 0
    method: Method = "percentile"

    def __post_init__(self) -> None:
        if self.resamples < 1 or not 0 < self.confidence < 1 or self.method not in ("percentile", "bca"):
            raise InputError(
                "The confidence intervals cannot be computed.",
                f"{self.resamples} draws at a confidence of {self.confidence:g} by '{self.method}' was asked for.",
                "Ask for at least one draw, a confidence between 0 and 1, and 'percentile' or 'bca'.",
            )


def interval(
    metric: Callable[..., float], arrays: Arrays, groups: Sequence[Hashable] | None = None, how: Bootstrap | None = None
) -> Interval:
    """Interval of one metric; see `intervals`."""
    return intervals(lambda *drawn: {"": metric(*drawn)}, arrays, groups, how)[""]


def intervals(
    metrics: Metrics, arrays: Arrays, groups: Sequence[Hashable] | None = None, how: Bootstrap | None = None
) -> dict[str, Interval]:
    """Intervals of several metrics from the same draws.

    Parameters
    ----------
    metrics : callable
        Takes the arrays, gives a value (or NaN) by name. Called once with all cases and once per draw.
    arrays : sequence of ndarray, shape (N, ...)
        One entry per case along the first axis.
    groups : sequence of hashable, length N, optional
        The patient of every case; without it each case is a patient of its own.
    how : Bootstrap, optional
        Draws, confidence, seed, method.

    Raises
    ------
    InputError
        When the arrays differ in length or are empty.
    """
    how = how or Bootstrap()
    count = check_lengths(**{f"array {n + 1}": array for n, array in enumerate(arrays)}, **_named(groups))
    members = _members(groups if groups is not None else range(count))
    values = dict(metrics(*arrays))
    if len(members) < 2:
        nothing = Undefined("one patient only")
        return {name: Interval(value, nothing, nothing) for name, value in values.items()}
    draws = _table(values, (metrics(*_chosen(arrays, index)) for index in _resampled(members, how)))
    left_out: NDArray[np.float64] | None = None
    if how.method == "bca":
        left_out = _table(values, (metrics(*_chosen(arrays, index)) for index in _each_left_out(members)))
    return {
        name: Interval(value, *_bounds(value, draws[:, n], None if left_out is None else left_out[:, n], how))
        for n, (name, value) in enumerate(values.items())
    }


def paired_difference(
    metric: Callable[..., float],
    arrays: Arrays,
    other_arrays: Arrays,
    groups: Sequence[Hashable] | None = None,
    how: Bootstrap | None = None,
) -> Interval:
    """Metric of one model minus that of another on the same cases, every draw the same patients for both.

    An interval without 0 in it is a difference at that confidence.

    Raises
    ------
    InputError
        When the two models were not run on the same number of cases.
    """
    split = len(arrays)
    return interval(
        lambda *drawn: metric(*drawn[:split]) - metric(*drawn[split:]), (*arrays, *other_arrays), groups, how
    )


def _named(groups: Sequence[Hashable] | None) -> dict[str, Sequence[Hashable]]:
    return {} if groups is None else {"patients": groups}


def _members(groups: Sequence[Hashable]) -> list[NDArray[np.intp]]:
    """Positions of every group's cases, in the order in which groups first occur."""
    found: dict[Hashable, list[int]] = {}
    for position, group in enumerate(groups):
        found.setdefault(group, []).append(position)
    return [np.array(positions, dtype=np.intp) for positions in found.values()]


def _resampled(members: list[NDArray[np.intp]], how: Bootstrap) -> Iterator[NDArray[np.intp]]:
    rng = np.random.default_rng(how.seed)
    for _ in range(how.resamples):
        yield np.concatenate([members[n] for n in rng.integers(0, len(members), len(members))])


def _each_left_out(members: list[NDArray[np.intp]]) -> Iterator[NDArray[np.intp]]:
    for left in range(len(members)):
        yield np.concatenate([positions for n, positions in enumerate(members) if n != left])


def _chosen(arrays: Arrays, index: NDArray[np.intp]) -> list[NDArray[Any]]:
    return [array[index] for array in arrays]


def _table(values: Mapping[str, float], rows: Iterator[Mapping[str, float]]) -> NDArray[np.float64]:
    return np.array([[row.get(name, np.nan) for name in values] for row in rows], dtype=np.float64)


def _bounds(
    value: float, draws: NDArray[np.float64], left_out: NDArray[np.float64] | None, how: Bootstrap
) -> tuple[float, float]:
    if not np.isfinite(value):
        nothing = Undefined("the value itself is not defined")
        return nothing, nothing
    defined = draws[np.isfinite(draws)]
    if defined.size < FEWEST_DEFINED * draws.size:
        nothing = Undefined("too few cases: most draws of the patients leave it undefined")
        return nothing, nothing
    tail = (1 - how.confidence) / 2
    levels = np.array([tail, 1 - tail])
    if left_out is not None:
        levels = _corrected(levels, value, defined, left_out[np.isfinite(left_out)])
    low, high = np.quantile(defined, levels)
    if low == high:
        # Eight of eight right say little of the ninth, however often the same eight are drawn.
        nothing = Undefined("all cases say the same, so drawing them again tells nothing")
        return nothing, nothing
    return float(low), float(high)


def _corrected(
    levels: NDArray[np.float64], value: float, draws: NDArray[np.float64], left_out: NDArray[np.float64]
) -> NDArray[np.float64]:
    """BCa levels (Efron 1987, equations 2.3 and 4.4); the plain ones where every draw is the same."""
    from scipy.special import ndtr, ndtri

    below = ((draws < value).mean() + (draws <= value).mean()) / 2
    spread = left_out.mean() - left_out if left_out.size else np.zeros(1)
    power = float((spread**2).sum())
    if power == 0 or not 0 < below < 1:
        return levels
    bias, acceleration = ndtri(below), (spread**3).sum() / (6 * power**1.5)
    shifted = bias + ndtri(levels)
    return np.asarray(ndtr(bias + shifted / (1 - acceleration * shifted)))
