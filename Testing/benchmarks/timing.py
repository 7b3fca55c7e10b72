"""Repeat, take the median, and write one row."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Parameters
    ----------
    what : str
        What was compared with what.
    value : str
        The ratio or time measured.
    goal : str
        What it should be.
    met : bool
        Whether it is.
    """

    what: str
    value: str
    goal: str
    met: bool


def paired_ratio(
    first: Callable[[], object], second: Callable[[], object], repeats: int = 5
) -> tuple[float, float, float]:
    """Median of first/second taken in turn, so that a machine that slows down slows both; and both medians."""
    first()
    second()
    pairs = []
    for _ in range(repeats):
        stamps = [time.perf_counter()]
        for action in (first, second):
            action()
            stamps.append(time.perf_counter())
        pairs.append((stamps[1] - stamps[0], stamps[2] - stamps[1]))
    ratio = statistics.median(a / b for a, b in pairs)
    return ratio, statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)
