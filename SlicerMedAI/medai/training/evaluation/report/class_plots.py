"""Plots of a classifier: ROC, precision and recall, confusion matrix, reliability."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medai.training.evaluation.calibration import reliability
from medai.training.evaluation.classification import precision_recall_curve, roc_curve
from medai.training.evaluation.findings import ClassificationDetails
from medai.training.evaluation.report import drawing
from medai.training.evaluation.report.drawing import Picture
from medai.training.evaluation.summary import Summary

_MOST_CURVES = 8
"""More curves than colours say nothing; the table has every class."""


def classification_plots(summary: Summary, details: ClassificationDetails) -> list[Picture]:
    """What can be drawn of these classes."""
    found = [_roc(summary, details), _precision_recall(summary, details), _confusion(details), _reliability(details)]
    return [picture for picture in found if picture]


def _curves(details: ClassificationDetails) -> list[tuple[int, int, str]]:
    """Color, column and name of the first findings that some cases have and others have not: others have no curve."""
    drawn = [(n, label) for n, label in enumerate(details.labels) if len(np.unique(_known(details.truth[:, n]))) > 1]
    return [(color, n, label) for color, (n, label) in enumerate(drawn[:_MOST_CURVES])]


def _known(truth: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(truth[~np.isnan(truth)])


def _area(summary: Summary, metric: str, details: ClassificationDetails, label: str) -> str:
    estimate = summary[metric if details.mode == "binary" else f"{metric}[{label}]"]
    return f"{estimate.value:.3f}"


def _roc(summary: Summary, details: ClassificationDetails) -> Picture | None:
    figure, (axes,) = drawing.new_figure()
    said = []
    for number, n, label in _curves(details):
        fpr, tpr, _ = roc_curve(details.truth[:, n], details.probability[:, n])
        if not len(fpr):
            continue
        area = _area(summary, "auroc", details, label)
        color, style = drawing.SERIES[number], drawing.STYLES[number % 4]
        axes.plot(fpr, tpr, style, color=color, linewidth=1.8, label=f"{drawing.literal(label)}: {area}")
        said.append(f"{label}, area {area}")
        if details.mode == "binary":
            point = (1 - summary["specificity"].value, summary["recall"].value)
            axes.plot(*point, "o", color=drawing.INK, markersize=6, label=f"threshold {details.thresholds[0]:.3g}")
    if not said:
        return None
    axes.plot([0, 1], [0, 1], color="#7b8794", linewidth=0.9, linestyle=(0, (2, 3)))
    drawing.unit_square(axes)
    drawing.name_axes(axes, "1 − specificity (false positive rate)", "Sensitivity (true positive rate)")
    drawing.legend(axes, loc="best")
    return Picture(
        drawing.png(figure),
        f"ROC curve. {'; '.join(said)}.",
        "ROC curve",
        "Sensitivity for every price in false alarms; the diagonal is chance.",
    )


def _precision_recall(summary: Summary, details: ClassificationDetails) -> Picture | None:
    figure, (axes,) = drawing.new_figure()
    said = []
    for number, n, label in _curves(details):
        recall, precision = precision_recall_curve(details.truth[:, n], details.probability[:, n])
        if not len(recall):
            continue
        area = _area(summary, "auprc", details, label)
        color, style = drawing.SERIES[number], drawing.STYLES[number % 4]
        name = f"{drawing.literal(label)}: {area}"
        axes.plot(recall, precision, style, color=color, linewidth=1.8, drawstyle="steps-post", label=name)
        share = float(np.nanmean(details.truth[:, n]))
        axes.axhline(share, color=color, linewidth=0.8, linestyle=(0, (2, 3)))
        said.append(f"{label}, area {area}, {100 * share:.0f} % of cases positive")
    if not said:
        return None
    drawing.unit_square(axes)
    drawing.name_axes(axes, "Recall (sensitivity)", "Precision (positive predictive value)")
    drawing.legend(axes, loc="best")
    return Picture(
        drawing.png(figure),
        f"Precision-recall curve. {'; '.join(said)}.",
        "Precision and recall",
        "How many alarms are right, against how many findings are found; dotted lines are chance.",
    )


def _confusion(details: ClassificationDetails) -> Picture | None:
    if details.confusion is None or len(details.classes) > 20:
        return None
    counts, names = details.confusion, details.classes
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, (axes,) = drawing.new_figure()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.grid(visible=False)
    places = range(len(names))
    axes.set_xticks(places, [drawing.literal(n, 14) for n in names], rotation=30 if len(names) > 3 else 0)
    axes.set_yticks(places, [drawing.literal(n, 14) for n in names])
    size = 11 if len(names) < 5 else 7
    for row in places:
        for column in places:
            color = "white" if share[row, column] > 0.55 else drawing.INK
            text = f"{counts[row, column]}\n{100 * share[row, column]:.0f} %"
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=size)
    drawing.name_axes(axes, "Model", "Reference")
    said = [f"{counts[r, c]} of reference {names[r]} called {names[c]}" for r in places for c in places if counts[r, c]]
    return Picture(
        drawing.png(figure), f"Confusion matrix: {'; '.join(said)}.", "Confusion matrix", "Percentages are of each row."
    )


def _reliability(details: ClassificationDetails) -> Picture | None:
    found = reliability(details.outcome, details.confidence, min(details.bins, 10))
    if not len(found.count):
        return None
    figure, (axes,) = drawing.new_figure()
    axes.plot([0, 1], [0, 1], color="#7b8794", linewidth=0.9, linestyle=(0, (2, 3)))
    axes.plot(found.predicted, found.observed, "-", color=drawing.REFERENCE, linewidth=1.4)
    # Area by number of cases: a dot far off the line matters as much as it has cases.
    sizes = 14 + 160 * found.count / found.count.max()
    axes.scatter(found.predicted, found.observed, s=sizes, color=drawing.REFERENCE, edgecolor="white", zorder=3)
    drawing.unit_square(axes)
    sure = details.mode == "multiclass"
    drawing.name_axes(
        axes,
        "Probability of the chosen class" if sure else "Predicted probability",
        "Fraction that was right" if sure else "Fraction with the finding",
    )
    pairs = ", ".join(f"{p:.2f} to {o:.2f}" for p, o in zip(found.predicted, found.observed, strict=True))
    return Picture(
        drawing.png(figure),
        f"Reliability plot, predicted probability to what was observed: {pairs}.",
        "Reliability",
        "On the line, a probability means what it says; larger dots hold more cases.",
    )
