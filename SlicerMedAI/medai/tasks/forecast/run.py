"""From a job to its result."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np

from medai.engine.devices import choose_device
from medai.engine.loaded import LoadedModels
from medai.errors import InputError
from medai.jobs.job import Job
from medai.progress import Progress, Report
from medai.result import Item, Result
from medai.tasks.change.alignment import align
from medai.tasks.forecast.choice import check_choice
from medai.tasks.forecast.course import LEAST_VISITS, YEAR, Course, Visit
from medai.tasks.forecast.model import ForecastModel
from medai.tasks.forecast.parameters import ForecastParameters
from medai.tasks.forecast.tables import Told, class_table, forecast_plot, forecast_table, left_out_table, measured_table
from medai.tasks.life import Life
from medai.volume import Series

_POINTS = 25
_MOST_PLOTS = 50
_MOST_NAMED = 10
_MOST_DAYS = 36_525
_UNLIKELY = 6  # spreads from the mean of what the model learned from: another unit or structure, or a slip of the pen
_FAR_AHEAD = 3  # times as long as the visits span


def run(job: Job, report: Report, loaded: LoadedModels) -> Result:
    """Forecast what will be measured of the job's series, or of the subjects in its parameters.

    Parameters
    ----------
    job : Job
        Its input is a `Series` of visits, or empty; parameters as in `ForecastParameters`.
    report : callable
        Hears of every step; may raise to cancel.
    loaded : LoadedModels
        Where the model that measures images is found or kept.

    Returns
    -------
    Result
        A `Table` "forecast", a `Table` "progression" of a model that tells classes apart, a `Table` "measured" of what
        it was made of, a `Plot` per subject and target; of a series of images also how far the patient had moved, and
        on request what has changed. Of several subjects, a `Table` "left out" of those with one visit only.

    Raises
    ------
    InputError
        When there is one visit only, of every subject, or a date is not after the last visit.
    MedAIError
        With what happened, why, and what to do.
    """
    parameters = ForecastParameters.of(job.parameters)
    description = check_choice(job.bundle, parameters)
    life = Life(job, report, "Forecasting")
    life.at("Preparing")
    device = choose_device(parameters.device)
    life.mention(device.reason)
    for note in filter(None, (description.caution, *parameters.notes)):
        life.tell(note)
    more: tuple[Item, ...] = ()
    courses = parameters.courses
    if isinstance(job.inputs, Series):
        _check_count(job.inputs.name, len(job.inputs.frames))
        model = ForecastModel(description.root, device.name)
        series, more = _together(job.inputs, parameters, life, needed=model.images)
        courses = (_course(job.inputs, series, _measured(job.inputs, model, parameters, life, loaded)),)
        if parameters.change:
            known = {item.name for item in more}
            more = (*more, *(item for item in _changed(job.inputs, life) if item.name not in known))
    else:
        courses, more = _long_enough(courses, life)
        model = ForecastModel(description.root, device.name)
    for note in model.notes:
        life.tell(note)
    if not courses:
        raise InputError("There is nothing to forecast.", "No visits were given.", "Choose a series or a table.")
    told = []
    for done, course in enumerate(courses):
        life.at("Forecasting", done, len(courses))
        _tell_missing(course, model, life)
        days = _days(course, parameters.at)
        _tell_far(course, days, life)
        far = course.days[-1] + np.linspace(0, max(days) - course.days[-1], _POINTS)
        told.append(Told(course, model.forecast(course, days), model.forecast(course, far.tolist())))
    life.at("Finishing", len(courses), len(courses))
    items: list[Item] = [forecast_table(told, model.targets, parameters.confidence)]
    if model.classes:
        items.append(class_table(told, model.classes))
    items.append(measured_table(told, model.measurements))
    for one in told[:_MOST_PLOTS]:
        plots = (forecast_plot(one, n, name, parameters.confidence) for n, name in enumerate(model.targets))
        items += plots
    if len(told) > _MOST_PLOTS:
        life.tell(f"Plots were made of the first {_MOST_PLOTS} of {len(told)} subjects.")
    return Result((*items, *more), life.provenance([description], parameters, device))


def _check_count(subject: str, count: int) -> None:
    if count < LEAST_VISITS:
        raise InputError(
            f"'{subject}' has one visit only.",
            "How fast something changes can be told from two visits or more.",
            "Add an earlier visit of the same subject, or wait for the next one.",
        )


def _long_enough(courses: Sequence[Course], life: Life) -> tuple[tuple[Course, ...], tuple[Item, ...]]:
    """Subjects of whom a forecast can be made, and a table of the others, unless that is everybody."""
    short = [course for course in courses if len(course) < LEAST_VISITS]
    if len(short) == len(courses):
        for course in short:
            _check_count(course.subject, len(course))
    if not short:
        return tuple(courses), ()
    named = ", ".join(course.subject for course in short[:_MOST_NAMED]) + (", ..." if len(short) > _MOST_NAMED else "")
    life.tell(f"Left out were {len(short)} of {len(courses)} subjects, since they have one visit only: {named}.")
    left = left_out_table([(course.subject, "one visit only") for course in short])
    return tuple(course for course in courses if course not in short), (left,)


def _together(
    series: Series, parameters: ForecastParameters, life: Life, *, needed: bool
) -> tuple[Series, tuple[Item, ...]]:
    """The images in one place, where the network looks at them."""
    if not needed or not parameters.align:
        return series, ()
    found = align(series, lambda done, total: life.at("Aligning the visits", done, total))
    for note in found.notes:
        life.tell(note)
    farthest = max(motion.displacement_mm for motion in found.motions)
    life.tell(f"The visits were brought together by rigid registration; the patient had moved by {farthest:.1f} mm.")
    return found.series, (found.table,)


def _course(given: Series, seen: Series, values: dict[str, Sequence[float | None]]) -> Course:
    days = given.days
    if not days:
        raise InputError(
            f"It is not known when the images of '{given.name}' were acquired.",
            "Neither dates nor days are given.",
            "Give the date of every visit (dates=...).",
        )
    visits = []
    for n, (day, frame) in enumerate(zip(days, seen.frames, strict=True)):
        known = {name: value for name, several in values.items() if (value := several[n]) is not None}
        visits.append(Visit(day, known, frame, frame.name))
    return Course(given.name, tuple(visits), given.frames[0].date)


def _measured(
    series: Series, model: ForecastModel, parameters: ForecastParameters, life: Life, loaded: LoadedModels
) -> dict[str, Sequence[float | None]]:
    """What was typed in, else what a model that segments measures on the images as they were taken."""
    count = len(series.frames)
    wrong = next((name for name, values in parameters.values.items() if len(values) != count), None)
    if wrong is not None:
        raise InputError(
            f"The values of '{wrong}' do not fit the images.",
            f"There are {len(parameters.values[wrong])} values and {count} visits.",
            "Give one value for every visit, and None where there is none.",
        )
    unknown = [name for name in parameters.values if name not in model.measurements]
    if unknown:
        raise InputError(
            f"The values of '{unknown[0]}' cannot be used.",
            f"The model does not know that measurement; it knows {', '.join(model.measurements)}.",
            "Correct the name, or leave the values out.",
        )
    found: dict[str, Sequence[float | None]] = dict(parameters.values)
    missing = [name for name in model.targets if name not in found]
    if not missing or parameters.measured_by is None or len(missing) > 1:
        return found
    found[missing[0]] = _volumes(series, parameters.measured_by, parameters.device, life, loaded)
    life.tell(f"'{missing[0]}' was measured on the images by the model '{parameters.measured_by.name}'.")
    return found


def _volumes(series: Series, bundle: Path, device: str, life: Life, loaded: LoadedModels) -> list[float | None]:
    """Volume of all structures together, mL, image by image."""
    from medai.tasks.segment.run import run as segment

    def listen(_: Progress) -> None:
        life.at("Measuring the images", done, len(series.frames))

    volumes: list[float | None] = []
    for done, frame in enumerate(series.frames):
        life.at("Measuring the images", done, len(series.frames))
        made = segment(Job("segment", bundle, (frame,), {"device": device}), listen, loaded)
        total = sum(made.labelmap.volumes_ml().values())
        volumes.append(total or None)
        if not total:
            life.tell(f"Nothing was found to measure in '{frame.name}'; its value is missing.")
    return volumes


def _changed(series: Series, life: Life) -> tuple[Item, ...]:
    from medai.tasks.change.change import change

    first, last = series.frames[0], series.frames[-1]
    found = change(first, last, step=lambda done, total: life.at("Comparing first and last visit", done, total))
    for note in found.notes:
        life.tell(note)
    return found.items


def _tell_missing(course: Course, model: ForecastModel, life: Life) -> None:
    """Nothing is filled in, so a person should know what the forecast was made without."""
    values = course.values(model.measurements)
    for name, column in zip(model.measurements, values.T, strict=True):
        gone = np.flatnonzero(np.isnan(column))
        if len(gone):
            when = ", ".join(course.spoken(float(course.days[n])) for n in gone[:6])
            life.tell(f"{course.subject}: '{name}' is missing at {len(gone)} of {len(course)} visits ({when}).")
    for name, column, (mean, spread) in zip(model.measurements, values.T, model.learned, strict=False):
        far = max((float(one) for one in column if not np.isnan(one)), key=lambda one: abs(one - mean), default=mean)
        if abs(far - mean) > _UNLIKELY * spread:
            life.tell(
                f"{course.subject}: '{name}' was {far:g}, far from what the model learned from ({mean:.3g}, standard "
                f"deviation {spread:.2g}); check its unit. The forecast cannot be trusted."
            )
    for name in model.targets:
        if np.isnan(values[:, model.measurements.index(name)]).all():
            life.tell(f"{course.subject}: '{name}' was never measured, so its forecast is hardly more than a guess.")
    unseen = [one for one in course.visits if one.image is None]
    if model.images and unseen:
        life.tell(f"{course.subject}: {len(unseen)} of {len(course)} visits have no image.")


def _tell_far(course: Course, days: Sequence[float], life: Life) -> None:
    span, ahead = float(course.days[-1] - course.days[0]), max(days) - float(course.days[-1])
    if ahead > _FAR_AHEAD * max(span, YEAR):
        life.tell(
            f"{course.subject}: {course.spoken(max(days))} is {ahead / YEAR:.1f} years after the last visit, and the "
            f"visits span {span / YEAR:.1f}; a forecast so far ahead is hardly more than a guess."
        )


def _days(course: Course, at: Sequence[date | float]) -> list[float]:
    """Moments asked for, as the course counts days."""
    last = float(course.days[-1])
    found = []
    for moment in at or (YEAR,):
        if isinstance(moment, date):
            if course.start is None:
                raise InputError(
                    f"A forecast of '{course.subject}' for {moment.isoformat()} cannot be made.",
                    "Only the days between its visits are known, and no date.",
                    "Ask for a number of days after the last visit, or give the visits their dates.",
                )
            day = float((moment - course.start).days)
        else:
            day = last + moment
        if day <= last or not math.isfinite(day):
            raise InputError(
                f"{course.spoken(day)} is not after the last visit of '{course.subject}' ({course.spoken(last)}).",
                "What has been measured needs no forecast.",
                "Choose a later date, or leave later visits out.",
            )
        # The calendar of a plot ends a year later than what is shown.
        if day - last > _MOST_DAYS or (course.start and course.start.toordinal() + day > date.max.toordinal() - 366):
            raise InputError(
                f"A forecast of '{course.subject}' cannot be made for so late a day.",
                f"It is more than a hundred years after the last visit ({course.spoken(last)}) or beyond the calendar.",
                "Choose an earlier date, or correct those of the visits.",
            )
        found.append(day)
    return sorted(found)
