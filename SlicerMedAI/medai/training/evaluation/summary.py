"""The outcome in numbers: every metric with its interval, and what was evaluated on what."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from medai.training.evaluation.bootstrap import Bootstrap, Interval
from medai.training.evaluation.undefined import reason_of


@dataclass(frozen=True)
class About:
    """What a reader must know of an evaluation.

    Parameters
    ----------
    title : str
        Headline of the report.
    model : str
        Name and version.
    data : str
        Which images, from where.
    split : str
        How cases came to be in it: ``"validation, fold 0 of 5"``.
    notes : tuple of str
        What limits the numbers: known leaks, missing patient identifiers.
    """

    title: str = "Evaluation"
    model: str = ""
    data: str = ""
    split: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Estimate:
    """One metric.

    Parameters
    ----------
    metric : str
        ``"dice"``.
    label : str
        The structure, class or finding; ``""`` for the mean over them or a metric of the whole.
    value, low, high : float
        The metric and its interval; NaN where it is not defined.
    n : int
        Cases that it is computed from.
    unit : str
        ``"mm"``, ``"mL"``, ``"%"``, ``"dB"`` or none.
    reason : str
        Why there is no value, or no interval.
    """

    metric: str
    label: str
    value: float
    low: float
    high: float
    n: int
    unit: str = ""
    reason: str = ""

    @classmethod
    def of(cls, key: str, interval: Interval, n: int, unit: str = "") -> Estimate:
        """From the name that metrics use, ``"dice[left]"``."""
        metric, _, rest = key.partition("[")
        reason = reason_of(interval.value) or reason_of(interval.low)
        return cls(metric, rest.removesuffix("]"), interval.value, interval.low, interval.high, n, unit, reason)

    @property
    def key(self) -> str:
        """``"dice[left]"``, or ``"dice"`` without a label."""
        return f"{self.metric}[{self.label}]" if self.label else self.metric


@dataclass(frozen=True)
class Summary:
    """All metrics of an evaluation.

    Parameters
    ----------
    kind : str
        ``"classify"``, ``"segment"``, ``"detect"`` or ``"denoise"``.
    estimates : tuple of Estimate
        In the order in which a person wants to read them.
    cases, patients : int
        How many were evaluated.
    how : Bootstrap
        Of the intervals.
    settings : mapping
        Thresholds and the like, as text by name.
    notes : tuple of str
        What a reader should know: structures that were missed, metrics that are not defined.
    """

    kind: str
    about: About
    estimates: tuple[Estimate, ...]
    cases: int
    patients: int
    how: Bootstrap
    settings: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __getitem__(self, key: str) -> Estimate:
        for estimate in self.estimates:
            if estimate.key == key:
                return estimate
        raise KeyError(key)

    def as_json(self) -> dict[str, object]:
        """Plain values for JSON, in a fixed order; null where a number is not defined."""
        metrics = {
            e.key: {
                "value": _number(e.value),
                "low": _number(e.low),
                "high": _number(e.high),
                "n": e.n,
                **({"unit": e.unit} if e.unit else {}),
                **({"reason": e.reason} if e.reason else {}),
            }
            for e in self.estimates
        }
        return {
            "kind": self.kind,
            "title": self.about.title,
            "model": self.about.model,
            "data": self.about.data,
            "split": self.about.split,
            "cases": self.cases,
            "patients": self.patients,
            "settings": dict(self.settings),
            "intervals": {
                "confidence": self.how.confidence,
                "method": self.how.method,
                "resamples": self.how.resamples,
                "seed": self.how.seed,
                "unit": "patient",
            },
            "metrics": metrics,
            "notes": [*self.about.notes, *self.notes],
        }


def write_summary(target: Path, summary: Summary) -> None:
    """UTF-8 JSON, without NaN, which is not JSON."""
    text = json.dumps(summary.as_json(), indent=2, ensure_ascii=False, allow_nan=False)
    target.write_text(text + "\n", encoding="utf-8")


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
