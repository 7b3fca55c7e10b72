"""What a validation is judged by, where MONAI's own metrics do not know missing labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from ignite.metrics import Metric
from monai.handlers import from_engine
from monai.utils.enums import CommonKeys
from numpy.typing import NDArray

from medai.training.components.names import BOX, LABEL, SCORE
from medai.training.evaluation.boxes import BoxArray
from medai.training.evaluation.classification import binary_metrics
from medai.training.evaluation.detection import average_precisions, match_boxes

Floats = NDArray[np.float64]
_OVERLAP = 0.5


class MeanAUROC(Metric):  # type: ignore[misc]
    """Area under the ROC curve, the mean over classes (each against the rest) or findings.

    Classes that do not occur, or are the only one, do not count; without any that counts it is NaN.

    Parameters
    ----------
    multi_label : bool
        Whether labels are findings, each 0, 1 or NaN.
    """

    def __init__(self, *, multi_label: bool = False) -> None:
        self.multi_label = multi_label
        self._scores: list[Floats] = []
        self._truths: list[Floats] = []
        super().__init__(output_transform=from_engine([CommonKeys.PRED, CommonKeys.LABEL]))

    def reset(self) -> None:
        """Forget all cases."""
        self._scores, self._truths = [], []

    def update(self, output: tuple[Sequence[Any], Sequence[Any]]) -> None:
        """Another batch: scores of shape (C,) and labels, one per case."""
        preds, labels = output
        self._scores += [_numbers(pred) for pred in preds]
        self._truths += [_numbers(label) for label in labels]

    def compute(self) -> float:
        """The mean area, 0 to 1."""
        scores, truth = np.stack(self._scores), np.stack(self._truths)
        count = scores.shape[1]
        if not self.multi_label:
            truth = np.where(np.isnan(truth), np.nan, truth == np.arange(count))
        places = range(1, 2) if count == 2 and not self.multi_label else range(count)
        areas = [_area(truth[:, n], scores[:, n]) for n in places]
        known = [area for area in areas if not np.isnan(area)]
        return float(np.mean(known)) if known else float("nan")


def _area(truth: Floats, score: Floats) -> float:
    if np.isnan(truth).all() or not np.isfinite(score).all():  # weights may go astray for an epoch, and come back
        return float("nan")
    return float(binary_metrics(truth, score)["auroc"])


def _numbers(value: Any) -> Floats:
    return np.asarray(torch.as_tensor(value).detach().cpu().double().flatten())


class BoxPrecision(Metric):  # type: ignore[misc]
    """Average precision of boxes, those with an overlap (IoU) of at least half being found; the mean over classes.

    Without any reference box it is NaN. See `medai.training.evaluation.detection`.
    """

    def __init__(self) -> None:
        self._found: list[BoxArray] = []
        self._truths: list[BoxArray] = []
        super().__init__(output_transform=lambda output: (output[CommonKeys.PRED], output[CommonKeys.LABEL]))

    def reset(self) -> None:
        """Forget all cases."""
        self._found, self._truths = [], []

    def update(self, output: tuple[Sequence[Any], Sequence[Any]]) -> None:
        """Another batch: boxes, classes and scores of a detector, and the true boxes and classes, one per case."""
        for found, truth in zip(*output, strict=True):
            classes = [[str(int(n)) for n in each[LABEL]] for each in (found, truth)]
            self._found.append(BoxArray(_corners(found), tuple(classes[0]), _numbers(found[SCORE])))
            self._truths.append(BoxArray(_corners(truth), tuple(classes[1])))

    def compute(self) -> float:
        """Mean average precision, 0 to 1."""
        return float(average_precisions(match_boxes(self._truths, self._found, (_OVERLAP,)))[f"map@{_OVERLAP:.2f}"])


def _corners(boxes: Any) -> Floats:
    return np.asarray(boxes[BOX].detach().cpu().double())
