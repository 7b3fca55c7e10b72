"""Average precision of detected boxes, as COCO and nnDetection count it, in 2D and 3D.

Boxes are matched by MONAI (`monai.apps.detection.metrics.matching`): within an image and class, from the highest
score down, each to the free reference box that it overlaps most, if by enough. Precision is averaged at 101 values of
recall (Lin et al., ECCV 2014). Unlike MONAI's ``COCOMetric`` a class without any reference box is left out of the mean
instead of entering it as -1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from monai.apps.detection.metrics.matching import matching_batch
from monai.data.box_utils import box_iou
from numpy.typing import NDArray

from medai.errors import InputError
from medai.training.evaluation.boxes import BoxArray
from medai.training.evaluation.checks import check_lengths
from medai.training.evaluation.undefined import Undefined

Floats = NDArray[np.float64]

IOU_THRESHOLDS = tuple(float(t) for t in np.round(np.arange(0.1, 0.51, 0.05), 2))
"""Low ones, as usual for lesions (Baumgartner et al., MICCAI 2021): a box of 9 mm around a lesion of 7 mm finds it."""

RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, eq=False)
class ClassMatches:
    """Boxes of one class in all images, by falling score.

    Parameters
    ----------
    score : ndarray, shape (D,)
        Of each predicted box.
    image : ndarray of int, shape (D,)
        The image it is in.
    hit : ndarray of bool, shape (T, D)
        Whether it matches a reference box at each IoU threshold.
    references : ndarray of int, shape (N,)
        Reference boxes of every image.
    """

    score: Floats
    image: NDArray[np.intp]
    hit: NDArray[np.bool_]
    references: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Matches:
    """Matches of every class, with the thresholds on IoU and the number of images."""

    classes: dict[str, ClassMatches]
    thresholds: tuple[float, ...]
    images: int


def match_boxes(
    references: Sequence[BoxArray],
    predictions: Sequence[BoxArray],
    thresholds: Sequence[float] = IOU_THRESHOLDS,
    max_detections: int = 100,
) -> Matches:
    """Match the boxes of every image.

    Parameters
    ----------
    references, predictions : sequence of BoxArray, length N
        One per image, without boxes for images in which there is nothing.
    thresholds : sequence of float
        Intersection over union (of area in 2D, of volume in 3D) from which on a box is found.
    max_detections : int
        Of each image and class, the boxes of highest score that count.

    Raises
    ------
    InputError
        When the lists differ in length or are empty, 2D meets 3D, or a threshold is not above 0 and at most 1.
    """
    count = check_lengths(references=references, predictions=predictions)
    if len({boxes.dimensions for boxes in (*references, *predictions) if len(boxes)}) > 1:
        raise InputError(
            "The boxes cannot be compared.", "Some are 2D, some are 3D.", "Give boxes of the same kind in every image."
        )
    chosen = tuple(sorted({float(t) for t in thresholds}))
    if not chosen or chosen[0] <= 0 or chosen[-1] > 1:
        raise InputError(
            "The boxes cannot be compared.",
            f"The overlaps asked for are {', '.join(f'{t:g}' for t in chosen) or 'none'}.",
            "Use intersections over union above 0 and up to 1, such as 0.5.",
        )
    names = sorted({name for boxes in (*references, *predictions) for name in boxes.classes})
    number = {name: n for n, name in enumerate(names)}
    matched = matching_batch(
        iou_fn=box_iou,
        iou_thresholds=chosen,
        pred_boxes=[boxes.corners for boxes in predictions],
        pred_classes=[_numbered(boxes, number) for boxes in predictions],
        pred_scores=[boxes.scores for boxes in predictions],
        gt_boxes=[boxes.corners for boxes in references],
        gt_classes=[_numbered(boxes, number) for boxes in references],
        max_detections=max_detections,
    )
    classes = {name: _gathered([one.get(n) for one in matched], len(chosen)) for name, n in number.items()}
    return Matches(classes, chosen, count)


def average_precision(matches: ClassMatches, weights: Floats | None = None) -> Floats:
    """Average precision of one class at every IoU threshold, shape (T,); NaN without a reference box.

    Parameters
    ----------
    matches : ClassMatches
        From `match_boxes`.
    weights : ndarray, shape (N,), optional
        How often every image counts, which draws a bootstrap sample without matching or sorting again.
    """
    images = np.ones(len(matches.references)) if weights is None else weights
    total = float(images @ matches.references)
    if not total:
        return np.full(len(matches.hit), np.nan)
    each = images[matches.image]
    found, said = np.cumsum(matches.hit * each, axis=1), np.cumsum(each)
    precision = np.divide(found, said, out=np.zeros_like(found), where=said > 0)
    best_from_here = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    padded = np.concatenate([best_from_here, np.zeros((len(found), 1))], axis=1)
    places = [np.searchsorted(recall, RECALLS - 1e-12) for recall in found / total]
    return np.array([row[place].mean() for row, place in zip(padded, places, strict=True)])


def average_precisions(matches: Matches, weights: Floats | None = None) -> dict[str, float]:
    """``map@0.50`` for every threshold, their mean ``map@0.10:0.50``, and the same per class, ``ap@0.50[cyst]``.

    A mean is over classes that have at least one reference box.
    """
    low, high = matches.thresholds[0], matches.thresholds[-1]
    keys = [f"@{t:.2f}" for t in matches.thresholds] + ([f"@{low:.2f}:{high:.2f}"] if low < high else [])
    table = {}
    for name, found in matches.classes.items():
        values = average_precision(found, weights)
        table[name] = np.append(values, values.mean()) if low < high else values
    defined = [row for row in table.values() if not np.isnan(row).any()]
    nothing = Undefined("no reference box")
    means = np.mean(defined, axis=0) if defined else None
    result = {f"map{key}": nothing if means is None else float(means[n]) for n, key in enumerate(keys)}
    for n, key in enumerate(keys):
        for name, row in table.items():
            result[f"ap{key}[{name}]"] = nothing if np.isnan(row[n]) else float(row[n])
    return result


def precision_recall(matches: ClassMatches, threshold: int) -> tuple[Floats, Floats]:
    """Recall and precision after every predicted box, for the IoU threshold at this position; empty without a box."""
    total = int(matches.references.sum())
    if not total or not len(matches.score):
        return np.empty(0), np.empty(0)
    found = np.cumsum(matches.hit[threshold])
    return found / total, found / np.arange(1, len(found) + 1)


def _numbered(boxes: BoxArray, number: dict[str, int]) -> NDArray[np.intp]:
    return np.array([number[name] for name in boxes.classes], dtype=np.intp)


def _gathered(found: Sequence[dict[str, NDArray[np.generic]] | None], thresholds: int) -> ClassMatches:
    scores = [np.empty(0) if one is None else np.asarray(one["dtScores"], np.float64) for one in found]
    hits = [np.zeros((thresholds, 0), bool) if one is None else np.asarray(one["dtMatches"]) > 0 for one in found]
    references = [0 if one is None else len(one["gtIgnore"]) for one in found]
    score = np.concatenate(scores)
    order = np.argsort(-score, kind="stable")
    image = np.repeat(np.arange(len(found)), [len(s) for s in scores])
    return ClassMatches(score[order], image[order], np.concatenate(hits, axis=1)[:, order], np.array(references))
