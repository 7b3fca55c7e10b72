"""Findings of a detector."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from medai.errors import InputError
from medai.training.evaluation.bootstrap import intervals
from medai.training.evaluation.boxes import BoxArray
from medai.training.evaluation.cases import DetectionCase, Row
from medai.training.evaluation.detection import average_precisions, match_boxes
from medai.training.evaluation.findings import DetectionDetails, Findings, Options, WorstCases, check_kind
from medai.training.evaluation.froc import froc_sensitivities
from medai.training.evaluation.summary import Estimate


def detection_findings(cases: Iterable[DetectionCase], options: Options) -> Findings:
    """Evaluate a detector.

    Parameters
    ----------
    cases : iterable of DetectionCase
        Images without anything to find belong to it: only they show false alarms in healthy people.
    """
    threshold = options.threshold if isinstance(options.threshold, float | int) else options.threshold[0]
    worst, rows = WorstCases(options.worst), []
    references: list[BoxArray] = []
    predictions: list[BoxArray] = []
    people: list[str] = []
    for case in cases:
        check_kind(case, DetectionCase)
        found = _rows(case, float(threshold), options.iou)
        missed, wrong = (sum(int(str(row[key])) for row in found) for key in ("missed", "false_positives"))
        said = f"{missed} missed, {wrong} false positive" + ("s" if wrong != 1 else "")
        if missed + wrong:
            # A lesion that nobody sees is worse than a box too many.
            worst.offer(case, missed + 0.5 * wrong, f"{said} (score from {threshold:g}, IoU from {options.iou:g})")
        rows += found
        people.append(case.person(len(people)))
        references.append(case.reference)
        predictions.append(case.prediction)
    if not people:
        raise InputError("The model cannot be evaluated.", "There is no case.", "Choose data with at least one case.")
    matches = match_boxes(references, predictions, (*options.iou_thresholds, options.iou))
    count = len(people)

    def measure(drawn: np.ndarray) -> dict[str, float]:  # type: ignore[type-arg]
        weights = np.bincount(drawn, minlength=count).astype(np.float64)
        return average_precisions(matches, weights) | froc_sensitivities(matches, options.iou, weights)

    found_intervals = intervals(measure, (np.arange(count),), people, options.how)
    ordered = sorted(found_intervals, key=lambda key: ("[" in key, key.startswith("map@0") and ":" not in key))
    boxes = sum(len(reference) for reference in references)
    return Findings(
        rows=rows,
        estimates=tuple(Estimate.of(key, found_intervals[key], count) for key in ordered),
        details=DetectionDetails(matches, options.iou, float(threshold)),
        worst=worst.ranked(),
        people=tuple(people),
        settings={
            "reference boxes": f"{boxes} in {sum(len(r) > 0 for r in references)} of {count} images",
            "overlap that counts (IoU)": f"{options.iou:g}",
            "score threshold of pictures and table": f"{threshold:g}",
        },
        notes=_absent(references, predictions),
    )


def confident(boxes: BoxArray, threshold: float) -> BoxArray:
    """Boxes whose score reaches the threshold."""
    kept = boxes.scores >= threshold
    return BoxArray(
        boxes.corners[kept], tuple(c for c, k in zip(boxes.classes, kept, strict=True) if k), boxes.scores[kept]
    )


def _absent(references: list[BoxArray], predictions: list[BoxArray]) -> tuple[str, ...]:
    real = {name for boxes in references for name in boxes.classes}
    extra = sorted({name for boxes in predictions for name in boxes.classes} - real)
    if not extra:
        return ()
    return (f"No reference box of {', '.join(extra)}: left out of mAP, its boxes count as false positives in FROC.",)


def _rows(case: DetectionCase, threshold: float, iou: float) -> list[Row]:
    shown = confident(case.prediction, threshold)
    matched = match_boxes([case.reference], [shown], (iou,)).classes
    rows: list[Row] = []
    for label in sorted(matched) or [""]:
        one = matched.get(label)
        real = int(one.references.sum()) if one else 0
        hits = int(one.hit[0].sum()) if one else 0
        said = len(one.score) if one else 0
        rows.append(
            {
                "case": case.name,
                "patient": case.patient,
                "label": label,
                "references": real,
                "detections": said,
                "true_positives": hits,
                "false_positives": said - hits,
                "missed": real - hits,
            }
        )
    return rows
