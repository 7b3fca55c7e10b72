"""Findings of a denoiser or a synthesis model."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from medai.errors import GeometryError, InputError
from medai.training.evaluation.cases import RestorationCase, Row, numbers
from medai.training.evaluation.findings import (
    Findings,
    Options,
    RestorationDetails,
    WorstCases,
    check_kind,
    mean_estimates,
)
from medai.training.evaluation.restoration import UNITS, intensity_range, restoration_metrics

_TOLERANCE_MM = 1e-2


def restoration_findings(cases: Iterable[RestorationCase], options: Options) -> Findings:
    """Evaluate a model that gives an image.

    Parameters
    ----------
    cases : iterable of RestorationCase
        May be a generator: only the worst cases are kept in memory.
    """
    worst, rows, ranges = WorstCases(options.worst), [], set()
    people: list[str] = []
    for case in cases:
        check_kind(case, RestorationCase)
        row = _row(case)
        worst.offer(case, -float(str(row["psnr_db"])), _caption(row))
        ranges.add(case.data_range is None)
        rows.append(row)
        people.append(case.person(len(people)))
    if not people:
        raise InputError("The model cannot be evaluated.", "There is no case.", "Choose data with at least one case.")
    titles = [
        t
        for t in ("psnr_db", "ssim", "mae", "psnr_gain_db", "ssim_gain", "psnr_before_db", "ssim_before")
        if any(t in row for row in rows)
    ]
    units = {**UNITS, "psnr_gain_db": "dB", "psnr_before_db": "dB"}
    exact = int(np.isinf(numbers(rows, "psnr_db")).sum())
    notes = [f"{exact} of {len(rows)} images are restored exactly; their infinite PSNR is not in the mean."] * (
        exact > 0
    )
    if True in ranges:
        notes.append("The data range of PSNR and SSIM is each reference image's own, lowest to highest value.")
    return Findings(
        rows=rows,
        estimates=mean_estimates({t: numbers(rows, t) for t in titles}, people, options.how, units),
        details=RestorationDetails("psnr_before_db" in titles),
        worst=worst.ranked(),
        people=tuple(people),
        notes=tuple(notes),
    )


def _row(case: RestorationCase) -> Row:
    for image in (case.restored, case.degraded):
        if image is not None and not case.reference.same_grid(image, _TOLERANCE_MM):
            raise GeometryError(
                f"The images of '{case.name}' cannot be compared.",
                "The restored image and its reference do not lie on the same grid.",
                "Resample one to the grid of the other first.",
            )
    y = case.reference.array
    low, high = case.data_range or intensity_range(y, case.mask)
    after = restoration_metrics(y, case.restored.array, (low, high), case.mask)
    row: Row = {"case": case.name, "patient": case.patient, **after, "range_low": low, "range_high": high}
    if case.degraded is not None:
        before = restoration_metrics(y, case.degraded.array, (low, high), case.mask)
        row |= {"psnr_before_db": before["psnr_db"], "ssim_before": before["ssim"]}
        row |= {"psnr_gain_db": after["psnr_db"] - before["psnr_db"], "ssim_gain": after["ssim"] - before["ssim"]}
    return row


def _caption(row: Row) -> str:
    text = f"PSNR {row['psnr_db']:.2f} dB, SSIM {row['ssim']:.3f}"
    return text + (
        f" (before: {row['psnr_before_db']:.2f} dB, {row['ssim_before']:.3f})" if "ssim_before" in row else ""
    )
