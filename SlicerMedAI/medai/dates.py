"""Dates as people and spreadsheets write them, read from a whole column where one alone would leave them open.

Only the standard library is imported here, as in `medai.visits`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, timedelta

from medai.errors import InputError

YEAR_FIRST, DAY_FIRST, MONTH_FIRST, NUMBER = "year first", "day first", "month first", "number"
_WRITTEN = {
    YEAR_FIRST: r"(?P<y>\d{4})(?P<by>[-./])(?P<m>\d{1,2})(?P=by)(?P<d>\d{1,2})",
    "digits": r"(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)",
    DAY_FIRST: r"(?P<d>\d{1,2})(?P<by>[-./])(?P<m>\d{1,2})(?P=by)(?P<y>\d{4})",
    MONTH_FIRST: r"(?P<m>\d{1,2})(?P<by>[-/])(?P<d>\d{1,2})(?P=by)(?P<y>\d{4})",  # nobody does with points
    NUMBER: r"(?P<n>\d{5})(?:\.\d+)?",
}
_PATTERNS = {way: re.compile(f"{pattern}(?:[T ].*)?") for way, pattern in _WRITTEN.items()}
# Excel counts from the first day of 1900 on and takes that year for a leap year: for any later day, this is day 0.
_EXCEL = date(1899, 12, 30)
_REMEDY = "Write all dates as YYYY-MM-DD, such as 2024-03-31."


def dates_of(cells: Sequence[str], *, numbers: bool = False) -> tuple[tuple[date, ...], str]:
    """Days that the cells of a column name.

    They are written year first (``2024-03-31``, ``20240331``), day first with points (``31.3.2024``), or with strokes
    or hyphens day first or month first, whichever all cells allow. A time after the day is left out.

    Parameters
    ----------
    cells : sequence of str
        None of them empty.
    numbers : bool
        Whether numbers of five digits are days as Excel counts them (45382 is 2024-03-31).

    Returns
    -------
    tuple of date, str
        The days, and what they were taken for: one of the constants of this module.

    Raises
    ------
    InputError
        When a cell is no day of the calendar, cells are written in several ways, or it stays open what is the day and
        what the month.
    """
    ways = (YEAR_FIRST, DAY_FIRST, MONTH_FIRST, *((NUMBER,) if numbers else ()))
    columns = {way: [_day(cell.strip(), way) for cell in cells] for way in ways}
    rows = list(zip(*columns.values(), strict=True))
    unread = next((cell for cell, row in zip(cells, rows, strict=True) if not any(row)), None)
    if unread is not None:
        raise InputError(
            f"'{unread}' cannot be read as a date.",
            "It is not a day of the calendar whose year has four digits.",
            "Write the date as YYYY-MM-DD, such as 2024-03-31.",
        )
    whole = {way: tuple(day for day in days if day) for way, days in columns.items() if all(days)}
    if not whole:
        narrow = sorted(zip(cells, rows, strict=True), key=lambda one: sum(map(bool, one[1])))
        first = narrow[0]
        other = next(cell for cell, row in narrow if not any(a and b for a, b in zip(first[1], row, strict=True)))
        raise InputError(
            f"The dates '{first[0]}' and '{other}' are not written in the same way.",
            "A spreadsheet may have changed one of them and taken the day for the month.",
            _REMEDY,
        )
    if len({*whole.values()}) > 1:
        days, others = whole.values()
        least = next(cell for cell, one, two in zip(cells, days, others, strict=True) if one != two)
        raise InputError(
            f"It cannot be told what is the day and what the month in '{least}'.",
            "It could be either, and no other date of the column tells.",
            _REMEDY,
        )
    way, found = next(iter(whole.items()))
    return found, way


def _day(cell: str, way: str) -> date | None:
    """The day that a cell is when it is written that way; None when it is not."""
    found = _PATTERNS[way].fullmatch(cell) or (_PATTERNS["digits"].fullmatch(cell) if way == YEAR_FIRST else None)
    if found is None:
        return None
    try:
        if way == NUMBER:
            return _EXCEL + timedelta(days=int(found["n"]))
        return date(int(found["y"]), int(found["m"]), int(found["d"]))
    except ValueError:
        return None  # the 31st of February
