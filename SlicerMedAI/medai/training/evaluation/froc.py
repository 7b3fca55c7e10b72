"""Sensitivity against false positives per image (free-response ROC; Bunch et al. 1977).

The seven rates and their mean, the score of the LUNA16 challenge, are those of Setio et al., Medical Image Analysis
2017. Between two thresholds the curve is a straight line, as there and in CAMELYON16; beyond the model's last box it
stays level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medai.training.evaluation.detection import Matches
from medai.training.evaluation.undefined import Undefined

Floats = NDArray[np.float64]

RATES = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, eq=False)
class Froc:
    """The curve, from no box at all: false positives per image, sensitivity, and the score from which boxes count."""

    false_positives: Floats
    sensitivity: Floats
    threshold: Floats


def froc_curve(matches: Matches, iou: float, weights: Floats | None = None) -> Froc:
    """Curve over all classes together; empty without a reference box.

    Parameters
    ----------
    matches : Matches
        From `medai.training.evaluation.detection.match_boxes`.
    iou : float
        The threshold on IoU, one of those that were matched.
    weights : ndarray, shape (N,), optional
        How often every image counts.
    """
    row = int(np.argmin(np.abs(np.asarray(matches.thresholds) - iou)))
    images = np.ones(matches.images) if weights is None else weights
    classes = matches.classes.values()
    total = float(sum(images @ one.references for one in classes))
    if not total:
        return Froc(np.empty(0), np.empty(0), np.empty(0))
    score = np.concatenate([one.score for one in classes])
    order = np.argsort(-score, kind="stable")
    hit = np.concatenate([one.hit[row] for one in classes])[order]
    each = images[np.concatenate([one.image for one in classes])[order]]
    found, wrong = np.cumsum(each * hit), np.cumsum(each * ~hit)
    # Boxes of the same score come and go together.
    last = np.append(np.diff(score[order]) != 0, True)[: len(score)]
    return Froc(
        np.append(0, wrong[last] / images.sum()),
        np.append(0, found[last] / total),
        np.append(np.inf, score[order][last]),
    )


def froc_sensitivities(
    matches: Matches, iou: float, weights: Floats | None = None, rates: Sequence[float] = RATES
) -> dict[str, float]:
    """``sensitivity@1fp`` for every rate of false positives per image (``1/8`` for an eighth), their mean ``froc``."""
    curve = froc_curve(matches, iou, weights)
    names = [f"sensitivity@{_spelled(rate)}fp" for rate in rates]
    if not len(curve.sensitivity):
        return dict.fromkeys(("froc", *names), Undefined("no reference box"))
    values = np.interp(rates, curve.false_positives, curve.sensitivity)
    return {"froc": float(values.mean())} | {name: float(v) for name, v in zip(names, values, strict=True)}


def _spelled(rate: float) -> str:
    return f"1/{1 / rate:g}" if rate < 1 else f"{rate:g}"
