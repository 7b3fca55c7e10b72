"""A forecast as tables and plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from medai.result import Plot, Table
from medai.tasks.forecast.course import YEAR, Course
from medai.tasks.forecast.model import Forecast

MEASURED, FORECAST = "Measured", "Forecast"
LEFT_OUT = "left out"
"""Name of the table of the subjects of whom no forecast could be made."""


@dataclass(frozen=True, eq=False)
class Told:
    """What was said of one subject.

    Parameters
    ----------
    course : Course
        Its visits.
    asked : Forecast
        At the dates that were asked for.
    curve : Forecast
        At moments from the last visit on, for the plot.
    """

    course: Course
    asked: Forecast
    curve: Forecast


def forecast_table(told: Sequence[Told], targets: Sequence[str], confidence: float) -> Table:
    """A row per subject, target and date, with the last known value beside it."""
    share = f"{100 * confidence:g} %"
    titles = (
        "Subject",
        "Measurement",
        "Date",
        "Days after the last visit",
        "Forecast",
        f"Low ({share})",
        f"High ({share})",
        "Last value",
        "Last measured",
        "Change per year",
    )
    rows: list[tuple[object, ...]] = []
    for one in told:
        low, high = one.asked.bounds(confidence)
        values, days = one.course.values(targets), one.course.days
        for place, target in enumerate(targets):
            known = np.flatnonzero(~np.isnan(values[:, place]))
            last = known[-1] if len(known) else None
            for row, day in enumerate(one.asked.days):
                forecast = float(one.asked.location[row, place])
                since = [] if last is None else [float(values[last, place]), one.course.spoken(days[last])]
                rate = "" if last is None else (forecast - float(values[last, place])) / (day - days[last]) * YEAR
                rows.append(
                    (
                        one.course.subject,
                        target,
                        one.course.spoken(float(day)),
                        float(day - days[-1]),
                        forecast,
                        float(low[row, place]),
                        float(high[row, place]),
                        *(since or ["", "never"]),
                        rate,
                    )
                )
    return Table({title: tuple(row[n] for row in rows) for n, title in enumerate(titles)}, "forecast")


def class_table(told: Sequence[Told], classes: Sequence[str]) -> Table:
    """A row per subject and class."""
    rows = [
        (one.course.subject, name, float(probability))
        for one in told
        for name, probability in zip(classes, one.asked.probabilities, strict=True)
    ]
    titles = ("Subject", "Class", "Probability")
    return Table({title: tuple(row[n] for row in rows) for n, title in enumerate(titles)}, "progression")


def measured_table(told: Sequence[Told], measurements: Sequence[str]) -> Table:
    """A row per subject and visit: what the forecast was made of; a cell is empty where nothing was measured."""
    rows: list[tuple[object, ...]] = []
    for one in told:
        for visit, values in zip(one.course.visits, one.course.values(measurements), strict=True):
            cells = ("" if np.isnan(value) else float(value) for value in values)
            rows.append((one.course.subject, one.course.spoken(visit.day), *cells))
    titles = ("Subject", "Date", *measurements)
    return Table({title: tuple(row[n] for row in rows) for n, title in enumerate(titles)}, "measured")


def left_out_table(reasons: Sequence[tuple[str, str]]) -> Table:
    """A row per subject of whom no forecast could be made, with the reason."""
    subjects, why = zip(*reasons, strict=True)
    return Table({"Subject": subjects, "Reason": why}, LEFT_OUT)


def forecast_plot(one: Told, place: int, target: str, confidence: float) -> Plot:
    """What was measured as points, and the forecast as a line in its band, over time."""
    course = one.course
    known = course.values([target])[:, 0]
    low, high = (bound[:, place] for bound in one.curve.bounds(confidence))
    nothing = [float("nan")] * len(one.curve.days)
    before = [float("nan")] * len(course)
    share = f"{100 * confidence:g} %"
    columns: dict[str, tuple[object, ...]] = {
        "Time": tuple(_time(course, float(day)) for day in (*course.days, *one.curve.days)),
        MEASURED: (*known.tolist(), *nothing),
        FORECAST: (*before, *one.curve.location[:, place].tolist()),
        f"Low ({share})": (*before, *low.tolist()),
        f"High ({share})": (*before, *high.tolist()),
    }
    bounds = (f"Low ({share})", f"High ({share})")
    label = "Year" if course.start is not None else "Years since the first visit"
    name = f"{course.subject}: {target}"
    table = Table(columns, f"{name} forecast")
    return Plot(table, "Time", (MEASURED, FORECAST, *bounds), label, target, name, points=(MEASURED,), band=bounds)


def _time(course: Course, day: float) -> float:
    """Calendar years with their fraction, or years since the first visit."""
    moment = course.moment(day)
    if moment is None:
        return float(day - course.days[0]) / YEAR
    begin, end = date(moment.year, 1, 1), date(moment.year + 1, 1, 1)
    return moment.year + (moment - begin).days / (end - begin).days
