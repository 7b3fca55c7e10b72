"""The last step of a forecaster's training: intervals that hold what they promise, and probabilities that do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medai.progress import Progress, Report
from medai.tasks.forecast.logistic import log_density
from medai.tasks.forecast.model import ForecastModel
from medai.training import folder
from medai.training.data import DataList
from medai.training.evaluation.calibration import TEMPERATURES, fit_temperature
from medai.training.evaluation.cases import ForecastCase
from medai.training.judge_courses import forecasted

Floats = NDArray[np.float64]
STAGE = "Calibrating"
_FEWEST = 10
_FACTORS = np.geomspace(0.25, 4.0, 161)


@dataclass(frozen=True)
class ForecastCalibration:
    """What was made of a forecaster's output.

    Parameters
    ----------
    spread : tuple of float
        The scale of each target is multiplied by it; 1 where there were too few cases.
    temperature : float
        By which the classes' logits are divided.
    forecasts, subjects : int
        On which they were fitted.
    """

    spread: tuple[float, ...]
    temperature: float
    forecasts: int
    subjects: int


def calibrate_forecasts(
    root: Path, data: DataList, targets: Sequence[str], report: Report, *, device: str = "cpu"
) -> ForecastCalibration:
    """Find by which factors what happened would have been most likely, and write them into the bundle.

    Parameters
    ----------
    root : Path
        The bundle's folder, with its weights, uncalibrated.
    data : DataList
        Validation cases.
    targets : sequence of str
    report : callable
        Hears of progress; may raise to stop.
    device : str
    """

    def at(number: int) -> None:
        report(Progress(STAGE, number, len(data)))

    cases = list(forecasted(ForecastModel(root, device), data, at, least=1))
    spread = tuple(_spread(cases, n) for n in range(len(targets)))
    told = [case for case in cases if case.label is not None and len(case.probabilities)]
    temperature = _temperature(told)
    folder.soften(root, spread, temperature)
    return ForecastCalibration(spread, temperature, len(cases), len({case.patient for case in cases}))


def _spread(cases: Sequence[ForecastCase], place: int) -> float:
    """By maximum likelihood, over all later visits."""
    truth, location, scale = (
        np.concatenate([getattr(case, name)[:, place] for case in cases] or [np.zeros(0)])
        for name in ("truth", "location", "scale")
    )
    known = ~np.isnan(truth)
    if known.sum() < _FEWEST:
        return 1.0
    likely = [float(log_density(truth[known], location[known], scale[known] * f).sum()) for f in _FACTORS]
    return float(f"{_FACTORS[int(np.argmax(likely))]:.4g}")


def _temperature(cases: Sequence[ForecastCase]) -> float:
    if len(cases) < _FEWEST:
        return 1.0
    logits = np.log(np.clip([case.probabilities for case in cases], 1e-12, 1))
    found = fit_temperature(logits, np.array([case.label for case in cases]))
    inside = min(TEMPERATURES) * 1.001 < found < max(TEMPERATURES) * 0.999
    return float(f"{found:.4g}") if inside else 1.0
