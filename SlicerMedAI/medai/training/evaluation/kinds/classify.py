"""Findings of a classifier."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from medai.errors import InputError
from medai.training.evaluation import calibration, classification
from medai.training.evaluation.bootstrap import intervals
from medai.training.evaluation.cases import ClassificationCase, Row
from medai.training.evaluation.checks import class_numbers, finite, outcomes, probabilities
from medai.training.evaluation.findings import ClassificationDetails, Findings, Options, WorstCases, check_kind
from medai.training.evaluation.operating_point import sensitivity_point, youden_point
from medai.training.evaluation.summary import Estimate

Floats = NDArray[np.float64]

_BY_THRESHOLD = ("accuracy", "balanced_accuracy", "recall", "specificity", "precision", "f1")
_ORDER = ("auroc", "auprc", *_BY_THRESHOLD)
_EVEN = 0.5


def classification_findings(cases: Iterable[ClassificationCase], labels: Sequence[str], options: Options) -> Findings:
    """Evaluate a classifier.

    Parameters
    ----------
    cases : iterable of ClassificationCase
        All of the same sort: binary, one of several classes, or several findings at once.
    labels : sequence of str
        Names of classes or findings; numbers without. Of a binary classifier the negative, then the positive class.
    """
    worst, names, truths, said = WorstCases(options.worst), [], [], []
    people: list[str] = []
    for case in cases:
        check_kind(case, ClassificationCase)
        truth, probability = outcomes_or_class(case)
        worst.offer(case, _badness(truth, probability), _caption(truth, probability, labels))
        names.append((case.name, case.patient))
        people.append(case.person(len(people)))
        truths.append(truth)
        said.append(probability)
    details, notes = _details(truths, said, labels, options)
    return Findings(
        rows=_rows(names, details),
        estimates=_estimates(details, people, options),
        details=details,
        worst=worst.ranked(),
        people=tuple(people),
        settings={"threshold": _in_words(details)} if details.thresholds else {},
        notes=notes,
    )


def outcomes_or_class(case: ClassificationCase) -> tuple[Floats, Floats]:
    """Truth and probability of a case as 1D arrays, two competing classes as the probability of the second."""
    several = np.ndim(case.truth) > 0
    p = probabilities(case.probability, f"probabilities of '{case.name}'").ravel()
    y = outcomes(case.truth).ravel() if several else finite(case.truth, "reference classes")
    if several and len(y) != len(p):
        raise InputError(
            "The model cannot be evaluated.",
            f"'{case.name}' has {len(y)} reference labels but {len(p)} probabilities.",
            "Check that the reference and the model have the same findings in the same order.",
        )
    if not several:
        class_numbers(y, max(2, len(p)))
        p = p[1:] if len(p) == 2 else p
    return y, p


def _details(
    truths: list[Floats], said: list[Floats], labels: Sequence[str], options: Options
) -> tuple[ClassificationDetails, tuple[str, ...]]:
    if not truths:
        raise InputError("The model cannot be evaluated.", "There is no case.", "Choose data with at least one case.")
    if len({(len(y), len(p)) for y, p in zip(truths, said, strict=True)}) > 1:
        raise InputError(
            "The model cannot be evaluated.",
            "Its cases do not all have the same number of classes or findings.",
            "Evaluate one model on one kind of question at a time.",
        )
    truth, probability = np.stack(truths), np.stack(said)
    if truth.shape[1] == 1 and probability.shape[1] > 1:
        return _one_of_several(truth[:, 0].astype(np.intp), probability, labels, options), ()
    if probability.shape[1] == 1:
        threshold, notes = _threshold(truth[:, 0], probability[:, 0], options)
        return _yes_or_no(truth, probability, labels, threshold, options), notes
    names = _names(labels, probability.shape[1])
    details = ClassificationDetails(
        mode="multilabel",
        labels=names,
        classes=(),
        truth=truth,
        probability=probability,
        confusion=None,
        outcome=truth.ravel(),
        confidence=probability.ravel(),
        thresholds=tuple(float(t) for t in np.broadcast_to(options.threshold, len(names))),
        bins=options.bins,
    )
    return details, ()


def _in_words(details: ClassificationDetails) -> str:
    """One threshold, or those that somebody has chosen for findings."""
    if len(set(details.thresholds)) == 1:
        return f"{details.thresholds[0]:.6g}"
    pairs = list(zip(details.labels, details.thresholds, strict=True))
    chosen = [f"{label} {threshold:.3g}" for label, threshold in pairs if threshold != _EVEN]
    return ", ".join([*chosen, *([f"others {_EVEN}"] if len(chosen) < len(pairs) else [])])


def _one_of_several(
    truth: NDArray[np.intp], probability: Floats, labels: Sequence[str], options: Options
) -> ClassificationDetails:
    classes = _names(labels, probability.shape[1])
    outcome, confidence = calibration.top_label(truth, probability)
    return ClassificationDetails(
        mode="multiclass",
        labels=classes,
        classes=classes,
        truth=np.eye(len(classes))[truth],
        probability=probability,
        confusion=classification.confusion_matrix(truth, probability.argmax(axis=1), len(classes)),
        outcome=outcome,
        confidence=confidence,
        thresholds=(),
        bins=options.bins,
    )


def _yes_or_no(
    truth: Floats, probability: Floats, labels: Sequence[str], threshold: float, options: Options
) -> ClassificationDetails:
    classes = _names(labels, 2) if labels else ("negative", "positive")
    known = ~np.isnan(truth[:, 0])
    said = probability[known, 0] >= threshold
    return ClassificationDetails(
        mode="binary",
        labels=classes[1:],
        classes=classes,
        truth=truth,
        probability=probability,
        confusion=classification.confusion_matrix(truth[known, 0], said, 2) if known.any() else None,
        outcome=truth[:, 0],
        confidence=probability[:, 0],
        thresholds=(threshold,),
        bins=options.bins,
    )


def _names(labels: Sequence[str], count: int) -> tuple[str, ...]:
    if not labels:
        return tuple(f"class {n}" for n in range(count))
    if len(labels) != count or len(set(labels)) != count:
        raise InputError(
            "The model cannot be evaluated.",
            f"{len(set(labels))} different class names are given for {count} classes.",
            "Give every class a name of its own, in the order of the model's output.",
        )
    return tuple(labels)


def _threshold(truth: Floats, probability: Floats, options: Options) -> tuple[float, tuple[str, ...]]:
    given = options.threshold if isinstance(options.threshold, float | int) else options.threshold[0]
    if options.operating_point is None:
        return float(given), ()
    if options.operating_point == "youden":
        point = youden_point(truth, probability)
    else:
        point = sensitivity_point(truth, probability, float(options.operating_point))
    if np.isnan(point.threshold):
        return float(given), (f"No operating point could be chosen, since there is one class only; {given:g} is used.",)
    chosen = f"The threshold {point.threshold:.3g} was chosen on these same cases ({point.rule})"
    note = f"{chosen}, which flatters every metric that depends on it."
    return point.threshold, (note,)


def _estimates(details: ClassificationDetails, people: list[str], options: Options) -> tuple[Estimate, ...]:
    measure = _measure(details)
    found = intervals(measure, (details.truth, details.probability), people, options.how)
    ordered = sorted(found, key=_place)
    known = ~np.isnan(details.truth)
    estimates = []
    for key in ordered:
        metric, _, position = key.partition("[")
        n = int(known.any(axis=1).sum())
        name = key
        if position and details.mode != "binary":
            number = int(position.removesuffix("]"))
            n, name = int(known[:, number].sum()), f"{metric}[{details.labels[number]}]"
        estimates.append(Estimate.of(name, found[key], n))
    return tuple(estimates)


def _place(key: str) -> tuple[bool, int]:
    """The whole before its labels, and the metrics of each in the same order; calibration comes after them."""
    metric, _, label = key.partition("[")
    return bool(label), _ORDER.index(metric) if metric in _ORDER else len(_ORDER)


def _measure(details: ClassificationDetails) -> Callable[[Floats, Floats], Mapping[str, float]]:
    def calibrated(outcome: Floats, confidence: Floats) -> dict[str, float]:
        bins = details.bins
        return {
            "ece": calibration.expected_calibration_error(outcome, confidence, bins),
            "ece_adaptive": calibration.expected_calibration_error(outcome, confidence, bins, adaptive=True),
        }

    def binary(truth: Floats, probability: Floats) -> dict[str, float]:
        y, p = truth[:, 0], probability[:, 0]
        found = classification.binary_metrics(y, p, details.thresholds[0])
        rest = calibrated(y, p) | {"brier": calibration.brier_score(y, p)}
        if details.thresholds[0] == _EVEN:
            return _first(found) | rest
        # What others publish is nearly always the more probable of the two.
        likelier = classification.binary_metrics(y, p, _EVEN)
        return _first(found) | rest | {f"{name}[at {_EVEN:g}]": likelier[name] for name in _BY_THRESHOLD}

    def multiclass(truth: Floats, probability: Floats) -> dict[str, float]:
        y = truth.argmax(axis=1)
        found = classification.multiclass_metrics(y, probability)
        correct = calibrated(*calibration.top_label(y, probability))
        return _first(found) | correct | {"brier": calibration.brier_score(y, probability)} | found

    def multilabel(truth: Floats, probability: Floats) -> dict[str, float]:
        found = classification.multilabel_metrics(truth, probability, details.thresholds)
        brier = {"brier": calibration.brier_score(truth, probability)}
        return _first(found) | calibrated(truth, probability) | brier | found

    return {"binary": binary, "multiclass": multiclass, "multilabel": multilabel}[details.mode]


def _first(found: Mapping[str, float]) -> dict[str, float]:
    return {name: found[name] for name in _ORDER}


def _rows(names: list[tuple[str, str]], details: ClassificationDetails) -> list[Row]:
    rows: list[Row] = []
    for n, (name, patient) in enumerate(names):
        chosen = details.probability[n].argmax()
        for c, label in enumerate(details.labels):
            truth, p = float(details.truth[n, c]), float(details.probability[n, c])
            said = int(c == chosen) if details.mode == "multiclass" else int(p >= details.thresholds[c])
            known = not np.isnan(truth)
            rows.append(
                {
                    "case": name,
                    "patient": patient,
                    "label": label,
                    "reference": int(truth) if known else "",
                    "probability": p,
                    "prediction": said,
                    "correct": int(said == truth) if known else "",
                }
            )
    return rows


def _badness(truth: Floats, probability: Floats) -> float:
    """How far the probability is from what is true; NaN when nothing is known."""
    if len(truth) == 1 and len(probability) > 1:
        return float(1 - probability[int(truth[0])])
    gaps = np.abs(truth - probability)
    return float(np.nanmax(gaps)) if not np.isnan(gaps).all() else float("nan")


def _caption(truth: Floats, probability: Floats, labels: Sequence[str]) -> str:
    if len(truth) == 1:
        names = _names(labels, max(2, len(probability))) if labels or len(probability) > 1 else ("negative", "positive")
        if np.isnan(truth[0]):
            return ""
        p = probability if len(probability) > 1 else np.array([1 - probability[0], probability[0]])
        right, sure = int(truth[0]), int(p.argmax())
        told = [f"{100 * p[n]:.0f}\u00a0% {names[n]}" for n in dict.fromkeys((sure, right))]
        return f"Reference: {names[right]}. Model: {', '.join(told)}."
    names = _names(labels, len(probability))
    gaps = np.where(np.isnan(truth), -1, np.abs(truth - probability))
    said = []
    for n in np.argsort(-gaps, kind="stable")[:3]:
        if gaps[n] >= 0:
            said.append(f"{names[n]}: {'present' if truth[n] else 'absent'}, model {100 * probability[n]:.0f}\u00a0%")
    return "; ".join(said)
