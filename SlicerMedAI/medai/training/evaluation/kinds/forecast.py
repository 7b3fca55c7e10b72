"""Findings of a forecaster, always beside what anybody would say without one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from medai.errors import InputError
from medai.tasks.forecast.logistic import crps, quantile
from medai.training.evaluation.bootstrap import intervals
from medai.training.evaluation.cases import ClassificationCase, ForecastCase, Row
from medai.training.evaluation.findings import (
    ClassificationDetails,
    Findings,
    ForecastDetails,
    Options,
    WorstCases,
    check_kind,
)
from medai.training.evaluation.kinds.classify import classification_findings
from medai.training.evaluation.summary import Estimate

Floats = NDArray[np.float64]
CONFIDENCE = 0.9
"""Of the intervals whose coverage is looked at."""

_COLUMNS = ("error", "carried_error", "line_error", "covered", "width", "crps")


def forecast_findings(
    cases: Iterable[ForecastCase], targets: Sequence[str], classes: Sequence[str], options: Options
) -> Findings:
    """Evaluate a forecaster.

    Metrics are of each forecast's next visit at which the target was measured; the table of cases has all later visits.
    Classes are judged once per subject, by what was said after most visits.

    Parameters
    ----------
    cases : iterable of ForecastCase
    targets, classes : sequence of str
        What is forecast, and what subjects are told apart by, in the order of the model's output.
    """
    worst = WorstCases(options.worst)
    rows: list[Row] = []
    people: list[str] = []
    last: dict[str, ForecastCase] = {}
    for case in cases:
        check_kind(case, ForecastCase)
        made = [row for n, target in enumerate(targets) for row in _rows(case, n, target)]
        nearest = [row for row in made if row["next"]]
        if nearest:
            most = max(nearest, key=lambda row: abs(float(str(row["error"]))) / float(str(row["width"])))
            worst.offer(case, abs(float(str(most["error"]))) / float(str(most["width"])), _caption(most))
        rows += made
        people.append(case.person(len(people)))
        if case.label is not None and len(case.probabilities):
            last[people[-1]] = max(case, last.get(people[-1], case), key=lambda one: one.visits)
    if not rows and not last:
        raise InputError(
            "The model cannot be evaluated.",
            "Of no subject is anything known after the visits that a forecast is made of.",
            "Choose data with at least one subject of three visits, or with classes.",
        )
    found = [estimate for target in targets for estimate in _estimates(rows, target, options)]
    told, notes = _classes(list(last.values()), classes, options)
    details = told.details if told is not None else None
    return Findings(
        rows=rows,
        estimates=(*found, *(told.estimates if told is not None else ())),
        details=ForecastDetails(
            tuple(targets), CONFIDENCE, details if isinstance(details, ClassificationDetails) else None
        ),
        worst=worst.ranked(),
        people=tuple(people),
        settings={"interval": f"{100 * CONFIDENCE:g} %", **(told.settings if told is not None else {})},
        notes=(*notes, *(told.notes if told is not None else ())),
    )


def _rows(case: ForecastCase, place: int, target: str) -> list[Row]:
    """One per later visit at which the target was measured."""
    truth, location, scale = (one[:, place] for one in (case.truth, case.location, case.scale))
    tail = (1 - CONFIDENCE) / 2
    low, high = quantile(location, scale, tail), quantile(location, scale, 1 - tail)
    scores = crps(np.where(np.isnan(truth), location, truth), location, scale)
    known = [n for n in range(len(truth)) if not np.isnan(truth[n]) and not np.isnan(case.carried[place])]
    return [
        {
            "case": case.name,
            "patient": case.patient,
            "target": target,
            "next": n == known[0],
            "visits": case.visits,
            "years": float(case.years[n]),
            "truth": float(truth[n]),
            "forecast": float(location[n]),
            "low": float(low[n]),
            "high": float(high[n]),
            "carried_forward": float(case.carried[place]),
            "line": float(case.line[place][n]),
            "error": float(location[n] - truth[n]),
            "carried_error": float(case.carried[place] - truth[n]),
            "line_error": float(case.line[place][n] - truth[n]),
            "covered": float(low[n] <= truth[n] <= high[n]),
            "width": float(high[n] - low[n]),
            "crps": float(scores[n]),
        }
        for n in known
    ]


def _estimates(rows: Sequence[Row], target: str, options: Options) -> list[Estimate]:
    chosen = [row for row in rows if row["target"] == target and row["next"]]
    if not chosen:
        return []
    arrays = [np.array([float(str(row[title])) for row in chosen]) for title in _COLUMNS]
    people = [str(row["patient"] or row["case"]) for row in chosen]
    found = intervals(_metrics, arrays, people, options.how)
    return [Estimate.of(f"{name}[{target}]", one, len(chosen)) for name, one in found.items()]


def _metrics(*columns: Floats) -> dict[str, float]:
    error, carried, line, covered, width, score = columns
    mae, mae_carried, mae_line = (float(np.abs(one).mean()) for one in (error, carried, line))
    rmse, rmse_carried, rmse_line = (float(np.sqrt((one**2).mean())) for one in (error, carried, line))
    return {
        "mae_next": mae,
        "mae_carried": mae_carried,
        "mae_line": mae_line,
        "mae_gain_carried": mae_carried - mae,
        "mae_gain_line": mae_line - mae,
        "rmse_next": rmse,
        "rmse_carried": rmse_carried,
        "rmse_line": rmse_line,
        "bias_next": float(error.mean()),
        "crps": float(score.mean()),
        "coverage": float(covered.mean()),
        "width": float(width.mean()),
    }


def _classes(
    cases: Sequence[ForecastCase], classes: Sequence[str], options: Options
) -> tuple[Findings | None, tuple[str, ...]]:
    if not cases or len(classes) < 2:
        return None, ()
    judged = [
        ClassificationCase(
            name=case.patient, patient=case.patient, truth=int(case.label or 0), probability=case.probabilities
        )
        for case in cases
    ]
    note = f"Classes are those of {len(judged)} subjects, told after the last of their visits."
    return classification_findings(judged, list(classes), options), (note,)


def _caption(row: Row) -> str:
    return (
        f"{row['target']} after {row['years']:.1f} years: {float(str(row['truth'])):.4g}, forecast "
        f"{float(str(row['forecast'])):.4g} ({float(str(row['low'])):.4g} to {float(str(row['high'])):.4g}), carried "
        f"forward {float(str(row['carried_forward'])):.4g}"
    )
