"""A number that does not exist, and why."""

from __future__ import annotations

import math


class Undefined(float):
    """Not a number, with the reason: ``math.isnan`` holds, and `reason` says what was missing.

    A metric of a data set without a single positive case has no value. It is no error either: the other metrics, and
    the other classes, still have theirs.

    Parameters
    ----------
    reason : str
        One clause for a person: ``"no positive case"``.
    """

    reason: str

    def __new__(cls, reason: str) -> Undefined:
        self = super().__new__(cls, math.nan)
        self.reason = reason
        return self

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override]  # pickled by its reason, its value being nan
        return (self.reason,)

    def __repr__(self) -> str:
        return f"Undefined({self.reason!r})"


def reason_of(value: float) -> str:
    """Why a value is missing; ``""`` when it is not."""
    if isinstance(value, Undefined):
        return value.reason
    if math.isnan(value):
        return "not defined for any case"
    return "" if math.isfinite(value) else "infinite"
