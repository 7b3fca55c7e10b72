"""Visits of a data list, subject by subject."""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path

from medai.errors import InputError
from medai.tasks.forecast.course import Course, Visit
from medai.training.data.datalist import DataList
from medai.training.data.item import DataItem
from medai.visits import as_date

NOT_MEASURED = ("label", "visit", "delay", "date", "synthetic", "class")
"""Keys of values that say something about a visit, and are no measurement."""


def courses(data: DataList) -> tuple[Course, ...]:
    """One course per subject, in the order of the list.

    A visit's time is its ``"date"`` (ISO 8601), or its ``"delay"`` in days; its values are all numbers of the item, its
    image the item's.

    Raises
    ------
    InputError
        When a visit has neither date nor delay, two of one subject are on the same day, or only some have dates.
    """
    return tuple(_course(subject, items) for subject, items in data.by_patient().items())


def labels(data: DataList) -> dict[str, int | None]:
    """The class of every subject: what its last visit with a known one says."""
    found: dict[str, int | None] = {}
    for subject, items in data.by_patient().items():
        known = [item.label for item in items if isinstance(item.label, int)]
        found[subject] = known[-1] if known else None
    return found


def measured(data: DataList) -> tuple[str, ...]:
    """Names of what was measured as a number in any visit, in the order of the list."""
    names = dict.fromkeys(
        key
        for item in data
        for key, value in item.values.items()
        if key not in NOT_MEASURED and isinstance(value, (int, float)) and not isinstance(value, bool)
    )
    texts = {key for item in data for key, value in item.values.items() if isinstance(value, str)}
    return tuple(name for name in names if name not in texts)


def _course(subject: str, items: tuple[DataItem, ...]) -> Course:
    dates = [_date(item) for item in items]
    known = [day for day in dates if day is not None]
    if known and len(known) < len(dates):
        missing = items[dates.index(None)]
        raise InputError(
            f"A visit of '{subject}' cannot be placed in time.",
            f"'{missing.name}' has no date, and other visits have one.",
            "Give every visit its date.",
        )
    start = min(known, default=None)
    visits = []
    for item, day in zip(items, dates, strict=True):
        numbers = {
            key: float(value)
            for key, value in item.values.items()
            if key not in NOT_MEASURED and isinstance(value, (int, float)) and not isinstance(value, bool)
        }
        since = float((day - start).days) if day is not None and start is not None else _delay(item)
        visits.append(Visit(since, numbers, _image(item), item.name))
    return Course(subject, tuple(visits), start)


def _date(item: DataItem) -> date | None:
    text = item.values.get("date")
    if text in (None, ""):
        return None
    return as_date(str(text))


def _delay(item: DataItem) -> float:
    delay = item.values.get("delay")
    return float(delay) if isinstance(delay, (int, float)) else math.nan


def _image(item: DataItem) -> Path | None:
    sources = item.files.get("image", ())
    first = sources[0] if sources else None
    return first if isinstance(first, Path) else None
