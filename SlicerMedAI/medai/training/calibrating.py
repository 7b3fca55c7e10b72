"""The last step of a classifier's training: probabilities that mean what they say, and where to decide."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medai.bundles.operating_points import OperatingPoint
from medai.errors import InputError
from medai.progress import Progress, Report
from medai.training import folder
from medai.training.data import DataList
from medai.training.evaluation.calibration import (
    TEMPERATURES,
    calibrated,
    expected_calibration_error,
    fit_temperature,
    top_label,
)
from medai.training.evaluation.operating_point import sensitivity_point, youden_point
from medai.training.judge import images_of, truth_of

if TYPE_CHECKING:
    from medai.engine.loaded import LoadedModels
    from medai.training.recipe import Plan

Floats = NDArray[np.float64]

STAGE = "Calibrating"
_FEWEST = 10


@dataclass(frozen=True)
class Calibration:
    """What was made of a classifier's output.

    Parameters
    ----------
    temperature : float
        Its logits are divided by it.
    before, after : float
        Expected calibration error on the validation cases, at temperature 1 and at this one.
    points : tuple of OperatingPoint
        One for the finding of a yes-or-no question, one per finding of several; none for a choice among classes.
    cases : int
        On which it was fitted.
    note : str
        Why the temperature was left at 1, if so.
    """

    temperature: float
    before: float
    after: float
    points: tuple[OperatingPoint, ...]
    cases: int
    note: str = ""


def positive_class(plan: Plan, wanted: str) -> str:
    """The class that is the finding of a yes-or-no question; ``""`` for any other kind of model.

    Parameters
    ----------
    plan : Plan
    wanted : str
        Its name, or ``""`` for the second class.

    Raises
    ------
    InputError
        When the model has no such class, or answers another kind of question.
    """
    names = list(plan.classes.values())
    binary = plan.task == "classify" and not plan.multi_label and len(names) == 2
    if wanted and not (binary and wanted in names):
        raise InputError(
            f"'{wanted}' cannot be the positive class.",
            f"The classes are {', '.join(names)}."
            if binary
            else "Only a model that tells two classes apart has a positive one.",
            "Give the name of one of two classes, or leave it out.",
        )
    return (wanted or names[1]) if binary else ""


def calibrate(
    root: Path,
    data: DataList,
    plan: Plan,
    report: Report,
    loaded: LoadedModels,
    *,
    device: str = "cpu",
    positive: str = "",
    sensitivity: float | None = None,
) -> Calibration | None:
    """Fit the temperature and choose the operating points of a trained classifier, and write both into its bundle.

    Parameters
    ----------
    root : Path
        The bundle's folder, with its weights.
    data : DataList
        Validation cases.
    plan : Plan
        What was trained.
    report : callable
        Hears of progress; may raise to stop.
    loaded : LoadedModels
        Runs the model.
    device : str
        A PyTorch device that exists on this computer.
    positive : str
        From `positive_class`.
    sensitivity : float, optional
        Share of the positive cases that is to be found; where Youden's J is highest by default.

    Returns
    -------
    Calibration or None
        None without a case whose class is known.
    """
    known = data.where(lambda item: item.label is not None)
    if not len(known):
        return None
    logits, truth = _outputs(root, known, report, loaded, device)
    exclusive = not plan.multi_label
    temperature, note = _temperature(logits, truth)
    before, after = (
        expected_calibration_error(*_outcomes(truth, calibrated(logits, t, exclusive=exclusive)))
        for t in (1.0, temperature)
    )
    probability = calibrated(logits, temperature, exclusive=exclusive)
    points = _points(truth, probability, list(plan.classes.values()), positive, sensitivity)
    folder.decide(root, temperature, points)
    return Calibration(temperature, before, after, points, len(known), note)


def _outputs(
    root: Path, data: DataList, report: Report, loaded: LoadedModels, device: str
) -> tuple[Floats, NDArray[np.generic]]:
    pipeline = loaded.get(root, device)
    logits, truths = [], []
    for number, item in enumerate(data):
        report(Progress(STAGE, number, len(data)))
        sample = pipeline.infer(pipeline.preprocess(images_of(item)))
        logits.append(np.asarray(sample["pred"].cpu().double().flatten()))
        truths.append(truth_of(item))
    report(Progress(STAGE, len(data), len(data)))
    return np.stack(logits), np.asarray(truths)


def _temperature(logits: Floats, truth: NDArray[np.generic]) -> tuple[float, str]:
    if len(logits) < _FEWEST:
        return 1.0, f"{len(logits)} cases are too few to fit a temperature"
    found = fit_temperature(logits, truth)
    if min(TEMPERATURES) * 1.001 < found < max(TEMPERATURES) * 0.999:
        # Six digits are more than any number of cases can tell.
        return float(f"{found:.6g}"), ""
    return 1.0, "the cases tell no temperature: the model makes no mistake on them, or nothing but mistakes"


def _outcomes(truth: NDArray[np.generic], probability: Floats) -> tuple[Floats, Floats]:
    if truth.ndim == 2:
        return truth.astype(np.float64), probability
    if probability.shape[1] == 2:
        return (truth == 1).astype(np.float64), probability[:, 1]
    return top_label(truth, probability)


def _points(
    truth: NDArray[np.generic], probability: Floats, names: Sequence[str], positive: str, sensitivity: float | None
) -> tuple[OperatingPoint, ...]:
    if truth.ndim == 2:
        found = [_point(name, truth[:, n], probability[:, n], sensitivity) for n, name in enumerate(names)]
        return tuple(point for point in found if point is not None)
    if not positive:
        return ()
    number = names.index(positive)
    point = _point(positive, (truth == number).astype(np.float64), probability[:, number], sensitivity)
    return () if point is None else (point,)


def _point(
    name: str, truth: NDArray[np.generic], probability: Floats, sensitivity: float | None
) -> OperatingPoint | None:
    known = ~np.isnan(truth.astype(np.float64))
    y, p = truth[known], probability[known]
    found = youden_point(y, p) if sensitivity is None else sensitivity_point(y, p, sensitivity)
    if math.isnan(found.threshold):
        return None
    # Halfway to the next lower case, so that rounding moves no case across it.
    threshold = (found.threshold + max(p[p < found.threshold], default=found.threshold)) / 2
    return OperatingPoint(name, min(threshold, 1.0), found.sensitivity, found.specificity, len(y), found.rule)
