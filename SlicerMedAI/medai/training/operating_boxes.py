"""The last step of a detector's training: from which score on its boxes are shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medai.bundles.operating_points import OperatingPoint
from medai.training import folder
from medai.training.evaluation import Evaluation
from medai.training.evaluation.detection import ClassMatches
from medai.training.evaluation.findings import DetectionDetails


def choose_points(
    root: Path, found: Evaluation | None, classes: Sequence[str], threshold: float = 0.0
) -> tuple[OperatingPoint, ...]:
    """Write into a detector's description from which score on it shows something of each class.

    Parameters
    ----------
    root : Path
        Of the bundle.
    found : Evaluation or None
        Of the validation cases; None without any.
    classes : sequence of str
        What it looks for.
    threshold : float
        What a person has chosen; 0 for where F1 is highest on the validation cases.

    Returns
    -------
    tuple of OperatingPoint
        One per class; none where nobody has chosen and there is nothing to choose by.

    Raises
    ------
    WriteError
        When the disk is full or read-only.
    """
    details = None if found is None else found.details
    if threshold:
        points = tuple(OperatingPoint(name, threshold, rule="chosen by hand") for name in classes)
    elif isinstance(details, DetectionDetails):
        row = int(np.argmin(np.abs(np.asarray(details.matches.thresholds) - details.iou)))
        known = details.matches.classes
        made = [_best(name, known[name], row, details.iou) for name in classes if name in known]
        points = tuple(point for point in made if point is not None)
    else:
        points = ()
    if points:
        folder.note_points(root, points)
    return points


def _best(name: str, matches: ClassMatches, row: int, iou: float) -> OperatingPoint | None:
    total, hits = int(matches.references.sum()), matches.hit[row]
    if not total or not hits.any():
        return None
    found = np.cumsum(hits)
    f1 = 2 * found / (total + np.arange(1, len(hits) + 1))
    # Boxes of the same score come and go together.
    last = np.append(np.diff(matches.score) != 0, True)
    best = int(np.where(last, f1, -1).argmax())
    rule = (
        f"highest F1 {f1[best]:.2f} at IoU {iou:g}: sensitivity {found[best] / total:.2f}, "
        f"precision {found[best] / (best + 1):.2f}"
    )
    return OperatingPoint(name, round(float(matches.score[best]), 4), cases=len(matches.references), rule=rule)
