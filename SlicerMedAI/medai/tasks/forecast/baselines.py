"""What anybody would say without a network; every evaluation of a forecaster is shown beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def carried_forward(values: Floats) -> float:
    """The last value that is known; NaN when none is.

    Parameters
    ----------
    values : ndarray, shape (T,)
        In order of time, NaN where missing.
    """
    known = values[~np.isnan(values)]
    return float(known[-1]) if len(known) else math.nan


def straight_line(days: Floats, values: Floats, at: Sequence[float] | Floats) -> Floats:
    """The subject's own least-squares line at some days; the last known value where there are fewer than two.

    Parameters
    ----------
    days, values : ndarray, shape (T,)
        Values are NaN where missing.
    at : sequence of float, length H
    """
    known = ~np.isnan(values)
    if known.sum() < 2:
        return np.full(len(at), carried_forward(values))
    center = days[known].mean()
    slope, level = np.polyfit(days[known] - center, values[known], 1)
    return np.asarray(level + slope * (np.asarray(at, dtype=np.float64) - center))
