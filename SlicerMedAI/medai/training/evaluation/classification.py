"""How well probabilities separate classes: binary, one of several, and several at once with labels that are missing.

Where a class never occurs its metrics are `Undefined` and the mean over classes is that of the others (scikit-learn's
``zero_division=nan``). The numbers are scikit-learn's to rounding; counting them here, from one sort, is a hundred
times faster than its functions with their checks, and a bootstrap asks a thousand times.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medai.training.evaluation.checks import check_lengths, class_numbers, finite, outcomes
from medai.training.evaluation.undefined import Undefined

Floats = NDArray[np.float64]

NAMES = ("accuracy", "balanced_accuracy", "precision", "recall", "specificity", "f1", "auroc", "auprc")


def binary_metrics(truth: ArrayLike, score: ArrayLike, threshold: float = 0.5) -> dict[str, float]:
    """Metrics of a yes-or-no question.

    Parameters
    ----------
    truth : array_like of 0, 1 or NaN, shape (N,)
        1 is the finding. Cases with NaN are left out.
    score : array_like, shape (N,)
        Higher means more likely; a probability or any other finite number.
    threshold : float
        A case counts as positive from this score on.

    Returns
    -------
    dict of str to float
        `NAMES`. Recall is also called sensitivity, precision positive predictive value.

    Raises
    ------
    InputError
        When lengths differ, there is no case, or a value is not of its kind.
    """
    return _binary(*_known(truth, score), threshold)


def multiclass_metrics(truth: ArrayLike, probability: ArrayLike) -> dict[str, float]:
    """Metrics of a choice among classes, the most probable one taken; plain means over classes ("macro").

    Parameters
    ----------
    truth : array_like of int, shape (N,)
        Class of every case, 0 to C - 1.
    probability : array_like, shape (N, C)
        Score of every class.

    Returns
    -------
    dict of str to float
        `NAMES`; AUROC and AUPRC are of each class against the rest. ``"recall[2]"`` is that of class 2 alone.
        A class that does not occur has none of these, and precision is only that of classes ever predicted.
    """
    p = _columns(finite(probability, "scores"))
    y = class_numbers(truth, p.shape[1])
    check_lengths(reference_labels=y, scores=p)
    matrix = _counts(y, p.argmax(axis=1), p.shape[1])
    hits, real, said = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    per_class: dict[str, list[float]] = {name: [] for name in NAMES[2:]}
    for c in range(p.shape[1]):
        tp, fp, fn = int(hits[c]), int(said[c] - hits[c]), int(real[c] - hits[c])
        found = _from_counts(tp, fp, fn, len(y) - tp - fp - fn) | _areas(y == c, p[:, c])
        for name, values in per_class.items():
            values.append(found[name])
    means = {name: _mean(values) for name, values in per_class.items()}
    accuracy = {"accuracy": float(hits.sum() / len(y)), "balanced_accuracy": means["recall"]}
    return accuracy | means | _listed(per_class)


def multilabel_metrics(truth: ArrayLike, score: ArrayLike, threshold: float | ArrayLike = 0.5) -> dict[str, float]:
    """Metrics of several findings at once, each asked of the cases in which it is known; plain means over findings.

    Parameters
    ----------
    truth : array_like of 0, 1 or NaN, shape (N, L)
        NaN where nobody looked for the finding.
    score : array_like, shape (N, L)
        Higher means more likely.
    threshold : float or array_like, shape (L,)
        A finding counts as present from this score on.

    Returns
    -------
    dict of str to float
        `NAMES` as means, and ``"auroc[3]"`` for finding 3.
    """
    y, s = _columns(outcomes(truth)), _columns(finite(score, "scores"))
    check_lengths(reference_labels=y, scores=s)
    check_lengths(labels_per_case=y.T, scores_per_case=s.T)
    thresholds = np.broadcast_to(np.asarray(threshold, dtype=np.float64), s.shape[1:])
    known = ~np.isnan(y)
    found = [_binary(y[known[:, n], n] == 1, s[known[:, n], n], float(thresholds[n])) for n in range(s.shape[1])]
    per_label = {name: [one[name] for one in found] for name in NAMES}
    return {name: _mean(values) for name, values in per_label.items()} | _listed(per_label)


def confusion_matrix(truth: ArrayLike, predicted: ArrayLike, count: int) -> NDArray[np.intp]:
    """Cases by true class (rows) and predicted class (columns), shape (`count`, `count`)."""
    y, said = class_numbers(truth, count), class_numbers(predicted, count, "predicted classes")
    check_lengths(reference_labels=y, predictions=said)
    return _counts(y, said, count)


def roc_curve(truth: ArrayLike, score: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """False positive rate, sensitivity and threshold of every distinct score; empty when a class is absent."""
    y, s = _known(truth, score)
    if y.all() or not y.any():
        return np.empty(0), np.empty(0), np.empty(0)
    tp, fp, thresholds = _by_threshold(y, s)
    return np.append(0, fp / fp[-1]), np.append(0, tp / tp[-1]), np.append(np.inf, thresholds)


def precision_recall_curve(truth: ArrayLike, score: ArrayLike) -> tuple[Floats, Floats]:
    """Recall and precision of every distinct score, recall falling; empty when there is no positive case."""
    y, s = _known(truth, score)
    if not y.any():
        return np.empty(0), np.empty(0)
    tp, fp, _ = _by_threshold(y, s)
    return np.append(0, tp / tp[-1])[::-1], np.append(1, tp / (tp + fp))[::-1]


def _known(truth: ArrayLike, score: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    y, s = outcomes(truth), finite(score, "scores")
    check_lengths(reference_labels=y, scores=s)
    known = ~np.isnan(y)
    return y[known] == 1, s[known]


def _binary(y: NDArray[np.bool_], score: Floats, threshold: float) -> dict[str, float]:
    said = score >= threshold
    tp, fp = int((y & said).sum()), int((~y & said).sum())
    found = _from_counts(tp, fp, int(y.sum()) - tp, int((~y).sum()) - fp) | _areas(y, score)
    return {name: found[name] for name in NAMES}


def _from_counts(tp: int, fp: int, fn: int, tn: int) -> dict[str, float]:
    recall = _ratio(tp, tp + fn, "no positive case")
    specificity = _ratio(tn, tn + fp, "no negative case")
    both = tp + fn > 0 and tn + fp > 0
    return {
        "accuracy": _ratio(tp + tn, tp + fp + fn + tn, "no case with a known label"),
        "balanced_accuracy": (recall + specificity) / 2 if both else Undefined("one class only"),
        "precision": _ratio(tp, tp + fp, "never predicted"),
        "recall": recall,
        "specificity": specificity,
        "f1": _ratio(2 * tp, 2 * tp + fp + fn, "neither present nor predicted"),
    }


def _by_threshold(y: NDArray[np.bool_], score: Floats) -> tuple[Floats, Floats, Floats]:
    """True and false positives from every distinct score on, and that score, falling."""
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    last = np.append(ranked[1:] != ranked[:-1], True)
    tp = np.cumsum(y[order])[last].astype(np.float64)
    return tp, np.flatnonzero(last) + 1 - tp, ranked[last]


def _areas(y: NDArray[np.bool_], score: Floats) -> dict[str, float]:
    """AUROC by the trapezoidal rule, and average precision: precision weighted by the recall that each step gains."""
    if not y.any():
        return {"auroc": Undefined("no positive case"), "auprc": Undefined("no positive case")}
    tp, fp, _ = _by_threshold(y, score)
    gained = np.diff(tp, prepend=0)
    precision = float(gained @ (tp / (tp + fp)) / tp[-1])
    if y.all():
        return {"auroc": Undefined("no negative case"), "auprc": precision}
    # Of each false positive, the true positives above it, those of the same score by half.
    above = float(np.diff(fp, prepend=0) @ (tp - gained / 2))
    return {"auroc": above / float(tp[-1] * fp[-1]), "auprc": precision}


def _ratio(part: int, whole: int, reason: str) -> float:
    return part / whole if whole else Undefined(reason)


def _mean(values: Sequence[float]) -> float:
    defined = [value for value in values if not np.isnan(value)]
    if defined:
        return float(np.mean(defined))
    return next((value for value in values if isinstance(value, Undefined)), Undefined("no class"))


def _listed(values: dict[str, list[float]]) -> dict[str, float]:
    return {f"{name}[{n}]": value for name, found in values.items() for n, value in enumerate(found)}


def _counts(y: NDArray[np.intp], predicted: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    return np.bincount(y * count + predicted, minlength=count * count).reshape(count, count)


def _columns(array: Floats) -> Floats:
    return array if array.ndim == 2 else array.reshape(len(array), -1)
