"""What a person may choose for a forecast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from numbers import Real
from pathlib import Path

from medai.errors import InputError
from medai.tasks.forecast.course import Course
from medai.tasks.parameters import TaskParameters, wrong, yes_or_no
from medai.visits import as_date


@dataclass(frozen=True, eq=False)
class ForecastParameters(TaskParameters):
    """What a person may choose.

    Parameters
    ----------
    at : date, str, float, or several of them
        When to forecast: a date (``"2027-01-01"``), or days after the last visit (365). A year after it by default.
    courses : tuple of Course
        Visits of one or several subjects, where a job has no series of images.
    values : mapping of str to tuple of float
        What was measured at each visit of a series of images, by name; None where something was not.
    confidence : float
        Probability with which the interval holds what will be measured.
    align : bool
        Bring the images together in physical space before the network sees them.
    change : bool
        Also show what has changed from the first to the last image of a series.
    notes : tuple of str
        What reading the courses found that a person should know.
    measured_by : Path, optional
        Folder of a model that segments: of a series of images without values, the volumes of all its structures
        together are what was measured (mL).

    Raises
    ------
    InputError
        When a value cannot be used.
    """

    at: tuple[date | float, ...] = ()
    courses: tuple[Course, ...] = ()
    values: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    confidence: float = 0.9
    align: bool = True
    change: bool = False
    notes: tuple[str, ...] = ()
    measured_by: Path | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        given = self.at if isinstance(self.at, (list, tuple)) else (self.at,)
        self._checked("at", tuple(_moment(one) for one in given))
        number = isinstance(self.confidence, Real) and not isinstance(self.confidence, bool)
        if not (number and 0 < float(self.confidence) < 1):
            raise wrong("confidence", self.confidence, "It is a number above 0 and below 1, such as 0.9")
        self._checked("confidence", float(self.confidence))
        for name in ("align", "change"):
            self._checked(name, yes_or_no(name, getattr(self, name)))
        if not isinstance(self.values, Mapping):
            raise wrong("values", self.values, "It is a set of named lists with one number for every visit")
        self._checked("values", {str(name): tuple(_values(name, one)) for name, one in self.values.items()})
        if not all(isinstance(one, Course) for one in self.courses):
            raise wrong("courses", self.courses, "They are visits of subjects")

    def as_text(self) -> dict[str, str]:
        """What was chosen, by name; what was left alone is left out."""
        text = super().as_text()
        if self.at:
            text["at"] = ", ".join(f"{one}" for one in self.at)
        if self.courses:
            text["subjects"] = ", ".join(course.subject for course in self.courses[:20])
        if self.confidence != 0.9:
            text["confidence"] = f"{self.confidence:g}"
        if not self.align:
            text["align"] = "False"
        if self.change:
            text["change"] = "True"
        if self.measured_by is not None:
            text["measured_by"] = self.measured_by.name
        return text


def _moment(given: object) -> date | float:
    if isinstance(given, Real) and not isinstance(given, bool):
        days = float(given)
        if not 0 < days < 36_525:
            raise wrong("at", given, "It is a number of days after the last visit, above 0 and at most a hundred years")
        return days
    if isinstance(given, (str, date)):
        return as_date(given)
    raise wrong("at", given, "It is a date such as '2027-01-01', or a number of days after the last visit")


def _values(name: object, given: object) -> list[float | None]:
    listed = list(given) if isinstance(given, (list, tuple)) else [given]
    if not all(one is None or (isinstance(one, Real) and not isinstance(one, bool)) for one in listed):
        raise InputError(
            f"The values of '{name}' cannot be used.",
            "They are not all numbers.",
            "Give one number for every visit, and None where there is none.",
        )
    return [None if one is None else float(str(one)) for one in listed]
