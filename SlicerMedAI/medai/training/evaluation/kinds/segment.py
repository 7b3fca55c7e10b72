"""Findings of a segmentation model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from medai.errors import GeometryError, InputError
from medai.result import Labelmap, Segment
from medai.training.evaluation.cases import Row, SegmentationCase, numbers
from medai.training.evaluation.findings import (
    Findings,
    Options,
    SegmentationDetails,
    WorstCases,
    check_kind,
    mean_estimates,
)
from medai.training.evaluation.segmentation import UNITS, segmentation_metrics
from medai.volume import Volume, corners

_SHOWN = ("dice", "surface_distance_mm", "hd95_mm")
_TOLERANCE_MM = 1e-2
"""Files keep positions in single precision."""


def segmentation_findings(
    cases: Iterable[SegmentationCase], labels: Mapping[str, int] | Sequence[str], options: Options
) -> Findings:
    """Evaluate a segmentation model.

    Parameters
    ----------
    cases : iterable of SegmentationCase
        May be a generator: only the worst cases are kept in memory.
    labels : mapping of str to int, or sequence of str
        Structures by name, with their value in a labelmap without names. A sequence numbers them from 1. Empty: the
        segments of the first reference, which then must be a Labelmap.
    """
    worst, rows = WorstCases(options.worst), []
    named = dict(labels) if isinstance(labels, Mapping) else {name: n + 1 for n, name in enumerate(labels)}
    people: list[str] = []
    for case in cases:
        check_kind(case, SegmentationCase)
        named = named or _segments(case.reference)
        _check_grids(case)
        found = [_row(case, label, value) for label, value in named.items()]
        dice = np.array([row["dice"] for row in found], dtype=float)
        if not np.isnan(dice).all():
            worst.offer(case, 1 - float(np.nanmean(dice)), _caption(found))
        rows += found
        people.append(case.person(len(people)))
    if not people:
        raise InputError("The model cannot be evaluated.", "There is no case.", "Choose data with at least one case.")
    columns = _columns(rows, list(named))
    units = {**UNITS, "volume_error_abs_ml": "mL", "volume_error_abs_percent": "%"}
    return Findings(
        rows=rows,
        estimates=mean_estimates(columns, people, options.how, units),
        details=SegmentationDetails(named),
        worst=worst.ranked(),
        people=tuple(people),
        notes=_notes(rows, list(named)),
    )


def structure_mask(image: Volume | Labelmap, label: str, value: int) -> NDArray[np.bool_]:
    """Voxels of one structure, shape (K, J, I); none when a Labelmap has no segment of that name."""
    if isinstance(image, Volume):
        return np.asarray(image.array == value)
    segment: Segment | None = next((s for s in image.segments if s.name == label), None)
    return image.mask(segment) if segment else np.zeros(image.layers.shape[1:], bool)


def spacing_kji(image: Volume | Labelmap) -> tuple[float, float, float]:
    """Voxel size in mm in the order of the array."""
    i, j, k = np.linalg.norm(image.affine[:3, :3], axis=0)
    return float(k), float(j), float(i)


def _segments(reference: Volume | Labelmap) -> dict[str, int]:
    if isinstance(reference, Labelmap) and reference.segments:
        return {segment.name: segment.value for segment in reference.segments}
    raise InputError(
        "The model cannot be evaluated.",
        "It is not said which structures the label values stand for.",
        "Give the labels, such as {'liver': 1, 'tumour': 2}.",
    )


def _check_grids(case: SegmentationCase) -> None:
    """Reference and prediction must lie in the same place, not only have as many voxels."""
    shapes = [
        image.layers.shape[1:] if isinstance(image, Labelmap) else image.array.shape
        for image in (case.reference, case.prediction)
    ]
    affines = [np.asarray(image.affine, dtype=np.float64) for image in (case.reference, case.prediction)]
    if shapes[0] == shapes[1] and len(shapes[0]) == 3:
        apart = float(np.abs(corners(affines[0], shapes[0]) - corners(affines[1], shapes[1])).max())
        if apart <= _TOLERANCE_MM:
            return
        why = f"Their grids lie up to {apart:.2f} mm apart."
    else:
        why = f"The reference has {shapes[0]} voxels, the prediction {shapes[1]}."
    raise GeometryError(
        f"The segmentation of '{case.name}' cannot be compared with its reference.",
        why,
        "Resample the prediction to the grid of the reference first.",
    )


def _row(case: SegmentationCase, label: str, value: int) -> Row:
    y, p = (structure_mask(image, label, value) for image in (case.reference, case.prediction))
    state = {(False, True): "false alarm", (True, False): "missed", (False, False): "absent in both"}
    metrics = segmentation_metrics(y, p, spacing_kji(case.reference))
    finding = state.get((bool(y.any()), bool(p.any())), "")
    return {"case": case.name, "patient": case.patient, "label": label, **metrics, "finding": finding}


def _columns(rows: list[Row], labels: list[str]) -> dict[str, NDArray[np.float64]]:
    """Every metric of every structure by case, before them the mean over structures."""
    columns: dict[str, NDArray[np.float64]] = {}
    for metric in (*_SHOWN, "volume_error_ml", "volume_error_percent"):
        table = np.column_stack([numbers(rows, metric, {"label": label}) for label in labels])
        parts = {metric: table}
        if metric.startswith("volume_error"):
            # The mean of signed errors is the bias, in which too much and too little cancel.
            parts[metric.replace("error", "error_abs")] = np.abs(table)
        for name, values in parts.items():
            if len(labels) > 1 and metric in _SHOWN:
                columns[name] = _row_means(values)
            columns |= {f"{name}[{label}]": values[:, n] for n, label in enumerate(labels)}
    return dict(sorted(columns.items(), key=lambda item: "[" in item[0]))


def _row_means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    known = ~np.isnan(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0).sum(axis=1)
    return np.asarray(np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0))


def _caption(found: list[Row]) -> str:
    said = []
    for row in found:
        if row["finding"]:
            said.append(f"{row['label']}: {row['finding']}")
        else:
            said.append(f"{row['label']}: Dice {row['dice']:.3f}, HD95 {row['hd95_mm']:.1f} mm")
    return "; ".join(said)


def _notes(rows: list[Row], labels: list[str]) -> tuple[str, ...]:
    notes = []
    for label in labels:
        states = [row["finding"] for row in rows if row["label"] == label]
        counts = {state: states.count(state) for state in ("missed", "false alarm", "absent in both")}
        if any(counts.values()):
            listed = ", ".join(f"{state} in {count}" for state, count in counts.items() if count)
            notes.append(
                f"{label}: {listed} of {len(states)} cases. Surface distances are not defined there; Dice is 0 when it "
                "is missed or a false alarm, and not counted when it is absent in both."
            )
    return tuple(notes)
