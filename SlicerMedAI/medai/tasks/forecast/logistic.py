"""The logistic distribution, in which forecasts are given: heavier tails than the normal one's, all in closed form."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def quantile(location: Floats, scale: Floats, level: float) -> Floats:
    """The value below which `level` of the distribution lies."""
    return np.asarray(location + scale * math.log(level / (1 - level)))


def log_density(value: Floats, location: Floats, scale: Floats) -> Floats:
    """Logarithm of the density at a value."""
    away = np.abs((value - location) / scale)
    return np.asarray(-away - 2 * np.log1p(np.exp(-away)) - np.log(scale))


def crps(value: Floats, location: Floats, scale: Floats) -> Floats:
    """Continuous ranked probability score, in the unit of the value; 0 is best.

    It becomes the absolute error where the forecast is a point (Gneiting & Raftery, J Am Stat Assoc 102 (2007) 359);
    closed form of the logistic distribution as in Jordan et al., J Stat Softw 90(12) (2019).
    """
    away = (value - location) / scale
    return np.asarray(scale * (away + 2 * np.logaddexp(0, -away) - 1))
