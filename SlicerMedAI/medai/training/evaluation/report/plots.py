"""Plots of segmentation, detection and restoration, and the choice among all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from medai.training.evaluation.cases import Row, numbers
from medai.training.evaluation.detection import average_precision, precision_recall
from medai.training.evaluation.findings import (
    ClassificationDetails,
    Details,
    DetectionDetails,
    ForecastDetails,
    RestorationDetails,
    SegmentationDetails,
    SynthesisDetails,
)
from medai.training.evaluation.froc import RATES, froc_curve
from medai.training.evaluation.report import drawing
from medai.training.evaluation.report.class_plots import classification_plots
from medai.training.evaluation.report.drawing import Picture
from medai.training.evaluation.report.forecast_plots import forecast_plots
from medai.training.evaluation.report.synthesis_plots import synthesis_plots
from medai.training.evaluation.summary import Summary

Floats = NDArray[np.float64]


def plots(summary: Summary, rows: Sequence[Row], details: Details) -> list[Picture]:
    """All plots of an evaluation, in the order of the page."""
    if isinstance(details, ClassificationDetails):
        return classification_plots(summary, details)
    if isinstance(details, ForecastDetails):
        return forecast_plots(summary, rows, details)
    if isinstance(details, SegmentationDetails):
        return _segmentation(list(rows), list(details.labels))
    if isinstance(details, DetectionDetails):
        return _detection(details)
    if isinstance(details, SynthesisDetails):
        return [*synthesis_plots(details), *_chances(list(rows), details)]
    return _restoration(list(rows), details)


def _segmentation(rows: list[Row], labels: list[str]) -> list[Picture]:
    overlap = _boxes(
        {label: numbers(rows, "dice", {"label": label}) for label in labels},
        "Dice",
        "Dice by structure",
        "Each dot is a case; the box holds the middle half, the line in it is the median.",
        limits=(-0.02, 1.02),
    )
    distance = _boxes(
        {label: numbers(rows, "hd95_mm", {"label": label}) for label in labels},
        "HD95 (mm)",
        "Surface distance by structure",
        "Hausdorff distance without the worst 5 %, where both have the structure.",
    )
    return [picture for picture in (overlap, distance, _volumes(rows, labels)) if picture]


def _volumes(rows: list[Row], labels: list[str]) -> Picture | None:
    figure, (axes,) = drawing.new_figure()
    largest, said = 0.0, []
    for n, label in enumerate(labels[: len(drawing.SERIES)]):
        real, found = (numbers(rows, f"volume_{of}_ml", {"label": label}) for of in ("reference", "prediction"))
        marker = "osD^vP*X"[n]
        color = drawing.SERIES[n]
        axes.scatter(real, found, s=18, color=color, marker=marker, alpha=0.75, label=drawing.literal(label))
        largest = max(largest, float(real.max()), float(found.max()))
        said.append(f"{label}, mean difference {float((found - real).mean()):+.3g} mL")
    if not largest:
        return None
    axes.plot([0, largest], [0, largest], color="#7b8794", linewidth=0.9, linestyle=(0, (2, 3)))
    drawing.name_axes(axes, "Reference (mL)", "Model (mL)")
    drawing.legend(axes, loc="upper left")
    return Picture(
        drawing.png(figure),
        f"Volume by the model against the reference. {'; '.join(said)}.",
        "Volume",
        "On the line both volumes are equal; above it the model finds too much.",
    )


def _detection(details: DetectionDetails) -> list[Picture]:
    found = [_froc(details), _detection_precision(details), _precision_by_overlap(details)]
    return [picture for picture in found if picture]


def _froc(details: DetectionDetails) -> Picture | None:
    curve = froc_curve(details.matches, details.iou)
    if not len(curve.sensitivity):
        return None
    at_rates = np.interp(RATES, curve.false_positives, curve.sensitivity)
    figure, (axes,) = drawing.new_figure()
    places = np.geomspace(RATES[0], RATES[-1], 400)
    line = np.interp(places, curve.false_positives, curve.sensitivity)
    axes.plot(places, line, color=drawing.REFERENCE, linewidth=1.8)
    axes.plot(RATES, at_rates, "o", color=drawing.REFERENCE, markersize=5)
    axes.set_xscale("log", base=2)
    axes.set_xticks(RATES, ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    axes.set_ylim(-0.015, 1.015)
    drawing.name_axes(axes, "False positives per image", "Sensitivity")
    pairs = ", ".join(f"{s:.2f} at {r:g}" for r, s in zip(RATES, at_rates, strict=True))
    return Picture(
        drawing.png(figure),
        f"FROC curve, sensitivity at false positives per image: {pairs}.",
        "FROC",
        f"Share of lesions found (IoU from {details.iou:g}) against false alarms in one image.",
    )


def _detection_precision(details: DetectionDetails) -> Picture | None:
    row = int(np.argmin(np.abs(np.asarray(details.matches.thresholds) - details.iou)))
    figure, (axes,) = drawing.new_figure()
    said = []
    for n, (name, matches) in enumerate(list(details.matches.classes.items())[: len(drawing.SERIES)]):
        recall, precision = precision_recall(matches, row)
        if len(recall):
            value = f"{average_precision(matches)[row]:.3f}"
            style, color = drawing.STYLES[n % 4], drawing.SERIES[n]
            axes.plot(recall, precision, style, color=color, linewidth=1.8, label=f"{drawing.literal(name)}: {value}")
            said.append(f"{name}, average precision {value}")
    if not said:
        return None
    drawing.unit_square(axes)
    drawing.name_axes(axes, "Recall (sensitivity)", "Precision")
    drawing.legend(axes, loc="best")
    return Picture(
        drawing.png(figure),
        f"Precision-recall curve of boxes. {'; '.join(said)}.",
        "Precision and recall",
        f"How many boxes are right, against how many lesions are found (IoU from {details.iou:g}).",
    )


def _precision_by_overlap(details: DetectionDetails) -> Picture | None:
    thresholds = details.matches.thresholds
    values = {name: average_precision(one) for name, one in details.matches.classes.items()}
    values = {name: value for name, value in values.items() if not np.isnan(value).any()}
    if len(thresholds) < 2 or not values:
        return None
    figure, (axes,) = drawing.new_figure()
    for n, (name, value) in enumerate(list(values.items())[: len(drawing.SERIES)]):
        style, color = drawing.STYLES[n % 4] + "o", drawing.SERIES[n]
        axes.plot(thresholds, value, style, color=color, markersize=4, label=drawing.literal(name))
    axes.set_ylim(-0.015, 1.015)
    drawing.name_axes(axes, "Overlap that counts as found (IoU)", "Average precision")
    drawing.legend(axes, loc="best")
    means = ", ".join(
        f"{m:.2f} at {t:.2f}" for t, m in zip(thresholds, np.mean(list(values.values()), axis=0), strict=True)
    )
    return Picture(
        drawing.png(figure),
        f"Average precision by overlap, mean over classes: {means}.",
        "How exactly lesions are outlined",
        "A curve that falls early finds lesions without fitting their outline.",
    )


def _restoration(rows: list[Row], details: RestorationDetails) -> list[Picture]:
    pictures = []
    for column, before, axis, title in (
        ("psnr_db", "psnr_before_db", "PSNR (dB)", "Peak signal-to-noise ratio"),
        ("ssim", "ssim_before", "SSIM", "Structural similarity"),
    ):
        groups = {"before": numbers(rows, before)} if details.has_degraded else {}
        groups["after"] = numbers(rows, column)
        pictures.append(_boxes(groups, axis, title, "Each dot is an image; higher is better."))
    return [picture for picture in pictures if picture]


def _chances(rows: list[Row], details: SynthesisDetails) -> list[Picture]:
    made = {name: numbers(rows, "probability_synthetic", {"origin": name}) for name in details.distances}
    found = [
        _boxes(
            dict(details.distances),
            "Distance",
            "Distance to the nearest training image",
            "Each dot is an image. Synthetic images much nearer than real ones that were held back would be copies.",
        ),
        _boxes(
            made,
            "Probability to be synthetic",
            "Told apart",
            "What a classifier says that has not seen the image; where both look the same, it cannot tell.",
            limits=(-0.02, 1.02),
        ),
    ]
    return [picture for picture in found if picture]


def _boxes(
    groups: dict[str, Floats], axis: str, title: str, caption: str, limits: tuple[float, float] | None = None
) -> Picture | None:
    kept = {name: values[np.isfinite(values)] for name, values in groups.items()}
    kept = {name: values for name, values in kept.items() if values.size}
    if not kept:
        return None
    figure, (axes,) = drawing.new_figure(width=max(4.0, 0.75 * len(kept)))
    _draw_boxes(axes, kept)
    if limits:
        axes.set_ylim(limits)
    drawing.name_axes(axes, "", axis)
    said = "; ".join(
        f"{name}, median {np.median(v):.3g}, from {v.min():.3g} to {v.max():.3g}" for name, v in kept.items()
    )
    return Picture(drawing.png(figure), f"Box plot, {axis}. {said}.", title, caption)


def _draw_boxes(axes: Axes, groups: dict[str, Floats]) -> None:
    places = np.arange(1, len(groups) + 1)
    drawn = axes.boxplot(
        list(groups.values()),
        positions=places,
        widths=0.5,
        showfliers=False,
        patch_artist=True,
        medianprops={"color": drawing.INK, "linewidth": 1.6},
        whiskerprops={"color": "#7b8794"},
        capprops={"color": "#7b8794"},
    )
    for box in drawn["boxes"]:
        box.set(facecolor="#dbe9f4", edgecolor=drawing.REFERENCE)
    rng = np.random.default_rng(0)
    for place, values in zip(places, groups.values(), strict=True):
        beside = place + rng.uniform(-0.16, 0.16, len(values))
        axes.scatter(beside, values, s=9, color=drawing.PREDICTION, alpha=0.65, linewidth=0, zorder=3)
    several = len(groups) > 4
    axes.set_xticks(
        places,
        [drawing.literal(name, 22) for name in groups],
        rotation=35 if several else 0,
        ha="right" if several else "center",
    )
