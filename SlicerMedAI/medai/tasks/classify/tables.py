"""Probabilities as tables and plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medai.result import Plot, Table
from medai.tasks.classify.decision import Decision
from medai.tasks.classify.views import View
from medai.volume import Series

Scores = NDArray[np.float64]

NAME = "probabilities"
MEAN, MAX = "mean of all", "highest of all"


@dataclass(frozen=True, eq=False)
class Entry:
    """What was found in one view, or in all slices together.

    Parameters
    ----------
    region : str
        What its region is called.
    index : int, str or None
        Number of the slice; `MEAN` or `MAX` of all; None where there is one view only.
    scores, spread : ndarray, shape (C,)
        Probabilities, and their standard deviation where several were combined.
    """

    region: str
    index: int | str | None
    scores: Scores
    spread: Scores | None = None


def entries_of(views: Sequence[View], voters: Sequence[Sequence[Scores]]) -> list[Entry]:
    """One per view: the mean of what all voters say of it; several slices of a region are summed up after it."""
    found: list[Entry] = []
    for view, said in zip(views, voters, strict=True):
        stacked = np.stack(said)
        found.append(
            Entry(view.region, view.index, stacked.mean(axis=0), stacked.std(axis=0) if len(said) > 1 else None)
        )
    for region in dict.fromkeys(entry.region for entry in found):
        slices = [entry.scores for entry in found if entry.region == region and entry.index is not None]
        if len(slices) > 1:
            together = np.stack(slices)
            found += [Entry(region, MEAN, together.mean(axis=0)), Entry(region, MAX, together.max(axis=0))]
    return found


def summary(entries: Sequence[Entry]) -> list[Entry]:
    """Those that stand for whole images or regions."""
    several = {entry.region for entry in entries if entry.index == MEAN}
    return [entry for entry in entries if entry.region not in several or isinstance(entry.index, str)]


def table_of(entries: Sequence[Entry], decision: Decision) -> Table:
    """One row per class where there is one entry; else one row per entry, and one column per class."""
    if len(entries) == 1:
        return _by_class(entries[0], decision)
    return Table(_rows(entries, decision), NAME)


def over_frames(series: Series, frames: Sequence[Sequence[Entry]], decision: Decision) -> tuple[Table, Plot]:
    """One row per frame, region and summary, and the curve of what was found first in every frame."""
    title = f"Frame ({series.unit})" if series.unit else "Frame"
    kept = [summary(entries) for entries in frames]
    index = [value for value, entries in zip(series.index, kept, strict=True) for _ in entries]
    rows = {title: tuple(index), **_rows([entry for entries in kept for entry in entries], decision)}
    firsts = [entries[0].scores for entries in kept]
    return Table(rows, NAME), _plot(title, series.index, firsts, decision, "probabilities over frames")


def over_slices(entries: Sequence[Entry], decision: Decision) -> Plot | None:
    """The curve over the slices of one stack; None where there is none, or are several."""
    slices = [entry for entry in entries if isinstance(entry.index, int)]
    if len(slices) < 2 or len({entry.region for entry in slices}) > 1:
        return None
    numbers = [entry.index for entry in slices]
    return _plot("Slice", numbers, [entry.scores for entry in slices], decision, "probabilities over slices")


def _by_class(entry: Entry, decision: Decision) -> Table:
    scores, thresholds = entry.scores, decision.thresholds
    columns: dict[str, tuple[object, ...]] = {"Class": decision.names, "Probability": _rounded(scores)}
    if entry.spread is not None:
        columns["Spread (SD)"] = _rounded(entry.spread)
    if thresholds:
        columns["Threshold"] = tuple(_threshold(thresholds.get(name)) for name in decision.names)
    columns["Decision"] = tuple(decision.of_class(n, scores) for n in range(len(scores)))
    return Table(columns, NAME)


def _rows(entries: Sequence[Entry], decision: Decision) -> dict[str, tuple[object, ...]]:
    columns: dict[str, tuple[object, ...]] = {}
    if any(entry.region for entry in entries):
        columns["Region"] = tuple(entry.region for entry in entries)
    if any(entry.index is not None for entry in entries):
        columns["Slice"] = tuple("" if entry.index is None else entry.index for entry in entries)
    for n, name in enumerate(decision.names):
        columns[name] = _rounded(np.array([entry.scores[n] for entry in entries]))
    if any(entry.spread is not None for entry in entries):
        for n, name in enumerate(decision.names):
            spreads = (None if entry.spread is None else round(float(entry.spread[n]), 6) for entry in entries)
            columns[f"{name}: spread (SD)"] = tuple("" if spread is None else spread for spread in spreads)
    columns["Decision"] = tuple(decision.of_all(entry.scores) for entry in entries)
    return columns


def _plot(title: str, index: Sequence[object], scores: Sequence[Scores], decision: Decision, name: str) -> Plot:
    # Of two classes one curve says all.
    one = decision.exclusive and len(decision.names) == 2 and decision.points
    shown = [point.name for point in decision.points] if one else list(decision.names)
    columns: dict[str, tuple[object, ...]] = {title: tuple(index)}
    for number, label in enumerate(decision.names):
        columns[label] = tuple(round(float(row[number]), 6) for row in scores)
    return Plot(Table(columns, name), title, tuple(shown), title, "Probability", name)


def _rounded(scores: Scores) -> tuple[object, ...]:
    """Six digits; nothing where nothing is known."""
    return tuple("" if np.isnan(score) else round(float(score), 6) for score in scores)


def _threshold(value: float | None) -> object:
    return "" if value is None else round(value, 6)
