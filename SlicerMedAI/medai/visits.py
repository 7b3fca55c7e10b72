"""Visits of one patient: images in the order of the days on which they were acquired.

Only numpy and the standard library are imported here, as in `medai.volume`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from itertools import pairwise

from medai.dates import dates_of
from medai.errors import InputError
from medai.volume import Series

Day = date | str
"""A date as a person types it (``"2024-03-31"``, ``"31.3.2024"``: see `medai.dates`), or a `datetime.date`."""
_IN_NAME = re.compile(r"(?<!\d)((?:19|20)\d\d)([-_.]?)(\d\d)\2(\d\d)(?!\d)")
_TYPED = "Type the dates in (dates=[...], on the command line --date for every visit)."


def in_order(series: Series, dates: Sequence[Day | None] = ()) -> Series:
    """A series as visits: sorted by their dates, with the days from the first visit to each as index.

    Parameters
    ----------
    series : Series
        In any order. What says when a frame was acquired is, in this order: `dates`, the frame itself (`Volume.date`),
        for all frames together an index in days to years, and a date in the frame's name (``"T1 2024-03-31"``).
    dates : sequence of date, str or None
        Typed in, one per frame; None leaves it to the frame.

    Returns
    -------
    Series
        Its `Series.days` are known and increase; its unit is ``"days"``.

    Raises
    ------
    InputError
        With fewer than two visits, dates that cannot be read, are missing or occur twice.
    """
    if len(series.frames) < 2:
        raise InputError(
            f"'{series.name}' is one visit only.",
            "Change over time needs at least two.",
            "Add an image of an earlier or a later visit of the same patient.",
        )
    if dates and len(dates) != len(series.frames):
        raise InputError(
            f"{len(dates)} dates were given for {len(series.frames)} visits.",
            "Every visit needs its own.",
            "Give one date per visit, in the order of the images.",
        )
    typed = iter(dates_of([day for day in dates if isinstance(day, str)])[0])  # together they tell more than each alone
    given = [
        next(typed) if isinstance(day, str) else day if day is None else as_date(day)
        for day in dates or [None] * len(series.frames)
    ]
    frames = tuple(replace(frame, date=day or frame.date) for frame, day in zip(series.frames, given, strict=True))
    days = Series(frames, series.index, series.unit).days
    if not days:
        frames = tuple(replace(frame, date=frame.date or date_in(frame.name)) for frame in frames)
        days = Series(frames).days
    if not days:
        missing = next(frame.name for frame in frames if frame.date is None)
        raise InputError(
            f"It is not known when '{missing}' was acquired.",
            "Neither its header nor its name tells one date.",
            _TYPED,
        )
    order = sorted(range(len(frames)), key=days.__getitem__)
    for one, other in pairwise(order):
        if days[one] == days[other]:
            raise InputError(
                f"'{frames[one].name}' and '{frames[other].name}' are of the same day.",
                f"Both were acquired {_spoken(frames[one].date, days[one])}; a visit is one image of one day.",
                "Leave one of them out, or correct its date.",
            )
    first = days[order[0]]
    index = tuple(days[n] - first for n in order)
    return Series(tuple(frames[n] for n in order), index, "days", series.name, series.id)


def as_date(day: Day) -> date:
    """A date that was typed in.

    Raises
    ------
    InputError
        When it cannot be read, or leaves open what is the day and what the month; see `medai.dates.dates_of`.
    """
    if isinstance(day, date):
        return day.date() if isinstance(day, datetime) else day
    return dates_of([str(day)])[0][0]


def date_in(name: str) -> date | None:
    """The date that a file's or folder's name holds (``sub-1_2024-03-31_T1``); None for none, or for several."""
    found = set()
    for year, _, month, day in _IN_NAME.findall(name):
        try:
            found.add(date(int(year), int(month), int(day)))
        except ValueError:
            continue  # eight digits that are something else
    return found.pop() if len(found) == 1 else None


def _spoken(day: date | None, days: float) -> str:
    return f"on {day.isoformat()}" if day else f"{days:g} days after the first"
