"""Plots of a forecaster: errors beside the baselines', changes, and whether its intervals hold what they promise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medai.training.evaluation.cases import Row, numbers
from medai.training.evaluation.findings import ForecastDetails
from medai.training.evaluation.report import drawing
from medai.training.evaluation.report.class_plots import classification_plots
from medai.training.evaluation.report.drawing import Picture
from medai.training.evaluation.summary import Summary

Floats = NDArray[np.float64]
_METHODS = {"Forecast": "error", "Carried forward": "carried_error", "Own line": "line_error"}
_LEVELS = np.arange(0.1, 0.96, 0.05)


def forecast_plots(summary: Summary, rows: Sequence[Row], details: ForecastDetails) -> list[Picture]:
    """All plots, target by target."""
    found: list[Picture | None] = []
    for target in details.targets:
        chosen = [row for row in rows if row["target"] == target and row["next"]]
        if chosen:
            found += [_errors(chosen, target), _changes(chosen, target), _coverage(chosen, target, details.confidence)]
    if details.classes is not None:
        found += classification_plots(summary, details.classes)
    return [picture for picture in found if picture is not None]


def _errors(rows: list[Row], target: str) -> Picture:
    errors = {name: np.abs(numbers(rows, column)) for name, column in _METHODS.items()}
    figure, (axes,) = drawing.new_figure()
    axes.boxplot(list(errors.values()), tick_labels=list(errors), showmeans=True, widths=0.55)
    drawing.name_axes(axes, "", f"Absolute error of {target}")
    said = ", ".join(f"{name} {values.mean():.4g}" for name, values in errors.items())
    return Picture(
        drawing.png(figure),
        f"Absolute errors at the next visit. Means: {said}.",
        f"Error at the next visit: {target}",
        "The network beside the last value carried forward and a line through the subject's own visits; triangles are "
        "means.",
    )


def _changes(rows: list[Row], target: str) -> Picture:
    carried = numbers(rows, "carried_forward")
    seen, told = numbers(rows, "truth") - carried, numbers(rows, "forecast") - carried
    half = (numbers(rows, "high") - numbers(rows, "low")) / 2
    figure, (axes,) = drawing.new_figure()
    axes.errorbar(seen, told, yerr=half, fmt="none", ecolor=drawing.GRID, elinewidth=1.0)
    axes.plot(seen, told, "o", color=drawing.PREDICTION, markersize=3.5, alpha=0.8)
    ends = [min(seen.min(), told.min()), max(seen.max(), told.max())]
    axes.plot(ends, ends, color="#7b8794", linewidth=0.9, linestyle=(0, (2, 3)))
    axes.axhline(0, color="#7b8794", linewidth=0.9)
    drawing.name_axes(axes, f"Change that was measured ({target})", "Change that was forecast")
    return Picture(
        drawing.png(figure),
        f"Forecast against measured change of {len(rows)} cases, correlation {_correlation(seen, told)}.",
        f"Change until the next visit: {target}",
        "On the dotted line the forecast is right; the solid line is the last value carried forward.",
    )


def _correlation(seen: Floats, told: Floats) -> str:
    if len(seen) < 3 or not seen.std() or not told.std():
        return "not defined"
    return f"{np.corrcoef(seen, told)[0, 1]:.2f}"


def _coverage(rows: list[Row], target: str, confidence: float) -> Picture:
    # The distribution is logistic, so one interval tells all others.
    odds = _odds((1 + confidence) / 2)
    scale = (numbers(rows, "high") - numbers(rows, "low")) / 2 / odds
    away = np.abs(numbers(rows, "error")) / scale
    held = np.array([(away <= _odds((1 + level) / 2)).mean() for level in _LEVELS])
    figure, (axes,) = drawing.new_figure()
    axes.plot([0, 1], [0, 1], color="#7b8794", linewidth=0.9, linestyle=(0, (2, 3)))
    axes.plot(_LEVELS, held, "-o", color=drawing.REFERENCE, linewidth=1.4, markersize=3.5)
    drawing.unit_square(axes)
    drawing.name_axes(axes, "Probability that the interval promises", "Share of cases inside")
    pairs = ", ".join(f"{level:.2f} to {share:.2f}" for level, share in zip(_LEVELS[::4], held[::4], strict=True))
    return Picture(
        drawing.png(figure),
        f"Coverage of the intervals, promised to seen: {pairs}.",
        f"Coverage: {target}",
        "On the line, intervals hold what they promise; below it they are too narrow.",
    )


def _odds(level: float) -> float:
    return float(np.log(level / (1 - level)))
