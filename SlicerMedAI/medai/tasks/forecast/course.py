"""One subject's visits: what was measured when, and the images, where there are any. numpy only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medai.errors import InputError
from medai.volume import Volume

YEAR = 365.25
"""Days."""

_MOST = 1e12  # a number beyond is a mistake, and would not survive the network's arithmetic

LEAST_VISITS = 2
"""That a forecast is made of: of one, nobody can tell how fast anything changes."""


@dataclass(frozen=True, eq=False)
class Visit:
    """One visit.

    Parameters
    ----------
    day : float
        Days since whatever moment the course counts from.
    values : mapping of str to float
        What was measured, by name; what was not measured is not there, or None or NaN.
    image : Volume, Path or None
        Of this visit.
    name : str
        What a person calls it.
    """

    day: float
    values: Mapping[str, float] = field(default_factory=dict)
    image: Volume | Path | None = None
    name: str = ""


@dataclass(frozen=True, eq=False)
class Course:
    """All visits of one subject, in order of time whatever order they are given in.

    Parameters
    ----------
    subject : str
        What a person calls the subject.
    visits : tuple of Visit
    start : datetime.date, optional
        The day that is counted from; None where only the days between visits are known.

    Raises
    ------
    InputError
        When there is no visit, two are on the same day, or a number cannot be used.
    """

    subject: str
    visits: tuple[Visit, ...]
    start: date | None = None

    def __post_init__(self) -> None:
        if not self.visits:
            raise InputError(f"'{self.subject}' has no visit.", "Nothing is known of it.", "Leave it out.")
        visits = tuple(replace(one, values=_known(self.subject, one)) for one in self.visits)
        bad = next((one for one in visits if not math.isfinite(one.day)), None)
        if bad is not None:
            raise InputError(
                f"A visit of '{self.subject}' cannot be placed in time.",
                f"The date of '{bad.name or 'a visit'}' is missing.",
                "Give every visit its date (column 'Date'), or the days since the first one (column 'MR Delay').",
            )
        visits = tuple(sorted(visits, key=lambda one: one.day))
        for one, following in pairwise(visits):
            if following.day - one.day < 1e-6:
                raise InputError(
                    f"Two visits of '{self.subject}' are on the same day ({self.spoken(one.day)}).",
                    "It cannot be known which of them came first.",
                    "Correct the date of one of them, or leave one out.",
                )
        object.__setattr__(self, "visits", visits)

    def __len__(self) -> int:
        return len(self.visits)

    @property
    def days(self) -> NDArray[np.float64]:
        """Of the visits, shape (T,)."""
        return np.array([one.day for one in self.visits], dtype=np.float64)

    @property
    def has_images(self) -> bool:
        """Whether any visit has one."""
        return any(one.image is not None for one in self.visits)

    def values(self, measurements: Sequence[str]) -> NDArray[np.float64]:
        """Shape (T, F), NaN where a measurement is missing."""
        rows = [[one.values.get(name, math.nan) for name in measurements] for one in self.visits]
        return np.array(rows, dtype=np.float64).reshape(len(self.visits), len(measurements))

    def until(self, count: int) -> Course:
        """The first `count` visits alone."""
        return replace(self, visits=self.visits[:count])

    def moment(self, day: float) -> date | None:
        """The date of a day; None where no date is known."""
        return None if self.start is None else self.start + timedelta(days=round(day))

    def spoken(self, day: float) -> str:
        """A day as a person reads it: an ISO date, else the number of days."""
        moment = self.moment(day)
        return f"day {day:g}" if moment is None else moment.isoformat()


def _known(subject: str, visit: Visit) -> dict[str, float]:
    known = {}
    for name, value in visit.values.items():
        if value is None or math.isnan(value):
            continue
        if abs(value) > _MOST:
            size, visit_name = "infinite" if math.isinf(value) else f"{value:g}", visit.name or f"day {visit.day:g}"
            raise InputError(
                f"A measurement of '{subject}' cannot be used.",
                f"'{name}' is {size} at '{visit_name}'.",
                "Correct the value, or leave its cell empty.",
            )
        known[name] = float(value)
    return known
