"""Whether a probability of 0.8 means that 8 of 10 such cases have the finding, and how to make it so.

Everything here takes yes-or-no outcomes with the probability given to them. A choice among classes becomes one by
`top_label` (was the chosen class right, and how sure was the model); several labels at once by taking one column, or
all known entries together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medai.errors import InputError
from medai.training.evaluation.checks import check_lengths, class_numbers, finite, outcomes, probabilities

Floats = NDArray[np.float64]

TEMPERATURES = (0.01, 100.0)
"""Where a fit may end. A model that makes no mistake on the data would sharpen its probabilities without end."""


@dataclass(frozen=True, eq=False)
class Reliability:
    """Occupied bins of a reliability diagram, each with the mean probability, the fraction of positives, the cases."""

    predicted: Floats
    observed: Floats
    count: NDArray[np.intp]


def reliability(truth: ArrayLike, probability: ArrayLike, bins: int = 15, *, adaptive: bool = False) -> Reliability:
    """Bins of probability against what happened (DeGroot & Fienberg 1983).

    Parameters
    ----------
    truth : array_like of 0, 1 or NaN, any shape
        What happened; entries with NaN are left out.
    probability : array_like, same shape
        What the model said, 0 to 1.
    bins : int
        How many, at most.
    adaptive : bool
        Bins of equally many cases (edges at quantiles; equal probabilities stay together) instead of equal width.

    Raises
    ------
    InputError
        When shapes differ, or a value is not of its kind.
    """
    y, p = _known(truth, probability)
    edges = np.linspace(0, 1, bins + 1)
    if adaptive and y.size:
        edges = np.quantile(p, edges)
    which = np.searchsorted(edges[1:-1], p)
    count = np.bincount(which, minlength=bins)
    used = count > 0
    predicted = np.bincount(which, p, minlength=bins)[used] / count[used]
    observed = np.bincount(which, y, minlength=bins)[used] / count[used]
    return Reliability(predicted, observed, count[used])


def expected_calibration_error(
    truth: ArrayLike, probability: ArrayLike, bins: int = 15, *, adaptive: bool = False
) -> float:
    """Mean gap between probability and outcome over bins, weighted by their cases; 0 is best.

    Equal width: Naeini et al., AAAI 2015, and Guo et al., ICML 2017 (15 bins). Adaptive: Nixon et al., CVPRW 2019.
    NaN when no outcome is known. Parameters as in `reliability`.
    """
    found = reliability(truth, probability, bins, adaptive=adaptive)
    if not len(found.count):
        return float("nan")
    return float(np.average(np.abs(found.predicted - found.observed), weights=found.count))


def brier_score(truth: ArrayLike, probability: ArrayLike) -> float:
    """Mean squared error of probabilities (Brier 1950); 0 is best, NaN when no outcome is known.

    Of outcomes 0 or 1 with one probability each, 0 to 1. Of class numbers, shape (N,), with probabilities of shape
    (N, C), the sum over classes, 0 to 2.
    """
    p = probabilities(probability)
    if p.ndim == 2 and np.ndim(truth) == 1:
        check_lengths(reference_labels=np.asarray(truth), probabilities=p)
        hot = np.eye(p.shape[1])[class_numbers(truth, p.shape[1])]
        return float(((p - hot) ** 2).sum(axis=1).mean())
    y, p = _known(truth, p)
    return float(((p - y) ** 2).mean()) if y.size else float("nan")


def top_label(truth: ArrayLike, probability: ArrayLike) -> tuple[Floats, Floats]:
    """Of a choice among classes: whether the most probable class was right (0 or 1), and its probability.

    Parameters
    ----------
    truth : array_like of int, shape (N,)
    probability : array_like, shape (N, C)
    """
    p = probabilities(probability)
    check_lengths(reference_labels=np.asarray(truth), probabilities=p)
    return (p.argmax(axis=1) == class_numbers(truth, p.shape[1])).astype(np.float64), p.max(axis=1)


def fit_temperature(logits: ArrayLike, truth: ArrayLike) -> float:
    """The number by which to divide logits so that probabilities are right on average (Guo et al., ICML 2017).

    Minimises the negative log likelihood with L-BFGS over the logarithm of the temperature, in double precision. The
    ranking of cases, and so AUROC and a choice among classes, stays as it was. Fit it on validation cases.

    Parameters
    ----------
    logits : array_like, shape (N,), (N, C) or (N, L)
        The model's output before sigmoid or softmax.
    truth : array_like
        (N,) of 0 or 1 with logits of shape (N,): sigmoid. (N,) of class numbers with (N, C): softmax. (N, L) of 0, 1
        or NaN with (N, L): one sigmoid per label, missing labels left out, one temperature for all.

    Returns
    -------
    float
        Above 1 when the model is too sure of itself; within `TEMPERATURES`.

    Raises
    ------
    InputError
        When shapes do not belong together, or no label is known.
    """
    import torch

    z = finite(logits, "logits")
    loss: Any
    if z.ndim == 2 and np.ndim(truth) == 1:
        classes = class_numbers(truth, z.shape[1])
        check_lengths(reference_labels=classes, logits=z)
        target = torch.as_tensor(classes, dtype=torch.int64)
        output, loss = torch.as_tensor(z), torch.nn.functional.cross_entropy
    else:
        known, kept = _known_entries(truth, z)
        check_lengths(known_labels=known)
        target, output = torch.as_tensor(known), torch.as_tensor(kept)
        loss = torch.nn.functional.binary_cross_entropy_with_logits
    low, high = np.log(TEMPERATURES)
    log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [log_temperature], max_iter=200, tolerance_grad=1e-10, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def closure() -> Any:
        optimizer.zero_grad()
        value = loss(output * torch.exp(-log_temperature.clamp(low, high)), target)
        value.backward()
        return value

    optimizer.step(closure)
    return float(np.clip(np.exp(np.clip(log_temperature.item(), low, high)), *TEMPERATURES))


def calibrated(logits: ArrayLike, temperature: float, *, exclusive: bool) -> Floats:
    """Probabilities from logits at a temperature.

    Parameters
    ----------
    logits : array_like, shape (N,), (N, C) or (N, L)
        The model's output.
    temperature : float
        From `fit_temperature`; 1 changes nothing.
    exclusive : bool
        True for a choice among classes (softmax over the last axis), False for yes-or-no questions (sigmoid).
    """
    from scipy.special import expit, softmax

    if not temperature > 0 or not np.isfinite(temperature):
        raise InputError(
            "The probabilities cannot be calibrated.",
            f"A temperature of {temperature:g} is not possible.",
            "Use a temperature above 0.",
        )
    scaled = finite(logits, "logits") / temperature
    return np.asarray(softmax(scaled, axis=-1) if exclusive else expit(scaled))


def _known(truth: ArrayLike, probability: ArrayLike) -> tuple[Floats, Floats]:
    return _known_entries(truth, probabilities(probability))


def _known_entries(truth: ArrayLike, given: Floats) -> tuple[Floats, Floats]:
    y = outcomes(truth)
    if y.shape != given.shape:
        raise InputError(
            "The calibration cannot be computed.",
            f"There are labels of shape {y.shape} but predictions of shape {given.shape}.",
            "Give one prediction for every label, in the same order.",
        )
    known = ~np.isnan(y)
    return y[known], given[known]
