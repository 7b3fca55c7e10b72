"""From which score on a case is called positive, and what that costs.

A point chosen on the same cases that it is judged on flatters the model: choose it on validation data, then pass its
threshold on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from medai.errors import InputError
from medai.training.evaluation.classification import roc_curve
from medai.training.evaluation.undefined import Undefined


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold on the score, what it gives on the cases it was chosen on, and how it was chosen."""

    threshold: float
    sensitivity: float
    specificity: float
    rule: str


def youden_point(truth: ArrayLike, score: ArrayLike) -> OperatingPoint:
    """Where sensitivity + specificity - 1 is highest (Youden, Cancer 1950); of equal ones the highest threshold.

    Parameters
    ----------
    truth : array_like of 0, 1 or NaN, shape (N,)
        1 is the finding.
    score : array_like, shape (N,)
        Higher means more likely.

    Returns
    -------
    OperatingPoint
        With `Undefined` numbers when one of the classes is absent.
    """
    fpr, tpr, thresholds = roc_curve(truth, score)
    if not len(fpr):
        return _nowhere("Youden's J")
    # Rounded, because the differences of equal fractions are equal only to rounding.
    return _point(int(np.argmax(np.round(tpr - fpr, 12))), fpr, tpr, thresholds, "Youden's J")


def sensitivity_point(truth: ArrayLike, score: ArrayLike, wanted: float = 0.95) -> OperatingPoint:
    """The highest threshold that still finds `wanted` of the positive cases, and so the best specificity there.

    Raises
    ------
    InputError
        When `wanted` is not above 0 and at most 1.
    """
    if not 0 < wanted <= 1:
        raise InputError(
            "The operating point cannot be chosen.",
            f"A sensitivity of {wanted:g} is wanted.",
            "Ask for a sensitivity above 0 and of at most 1, such as 0.95.",
        )
    fpr, tpr, thresholds = roc_curve(truth, score)
    if not len(fpr):
        return _nowhere(f"sensitivity of at least {wanted:g}")
    first = int(np.argmax(tpr >= wanted - 1e-12))
    return _point(first, fpr, tpr, thresholds, f"sensitivity of at least {wanted:g}")


def _point(
    n: int,
    fpr: np.ndarray,
    tpr: np.ndarray,
    thresholds: np.ndarray,
    rule: str,  # type: ignore[type-arg]
) -> OperatingPoint:
    # The curve begins with an infinite threshold, "nobody is positive", which no file can hold.
    threshold = float(thresholds[n]) if np.isfinite(thresholds[n]) else float(np.nextafter(thresholds[1], np.inf))
    return OperatingPoint(threshold, float(tpr[n]), float(1 - fpr[n]), rule)


def _nowhere(rule: str) -> OperatingPoint:
    nothing = Undefined("one class only")
    return OperatingPoint(nothing, nothing, nothing, rule)
