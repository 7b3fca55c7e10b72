"""From which probability on a classifier's finding counts, as ``metadata.json`` says it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from medai.bundles.labels import plain_text

_MOST = 4096


@dataclass(frozen=True)
class OperatingPoint:
    """Where a model decides, and what that gave on the cases it was chosen on.

    Parameters
    ----------
    name : str
        The class or finding that is called positive, one of `Description.classes`.
    threshold : float
        A case is positive from this probability on.
    sensitivity, specificity : float
        On the cases it was chosen on, 0 to 1; NaN where nobody says.
    cases : int
        How many these were; 0 where nobody says.
    rule : str
        How it was chosen ("Youden's J").
    """

    name: str
    threshold: float
    sensitivity: float = math.nan
    specificity: float = math.nan
    cases: int = 0
    rule: str = ""

    def as_json(self) -> dict[str, object]:
        """As it stands in ``metadata.json``."""
        return {name: value for name, value in asdict(self).items() if value == value}  # noqa: PLR0124 - JSON has no NaN

    def __str__(self) -> str:
        """``malignant from 0.41 on (Youden's J; sensitivity 0.90, specificity 0.88 on 78 validation cases)``"""
        told = [self.rule] if self.rule else []
        if not math.isnan(self.sensitivity + self.specificity):
            on = f" on {self.cases} validation cases" if self.cases else ""
            told.append(f"sensitivity {self.sensitivity:.2f}, specificity {self.specificity:.2f}{on}")
        return f"{self.name} from {self.threshold:.3g} on" + (f" ({'; '.join(told)})" if told else "")


def operating_points_of(metadata: Mapping[str, Any], classes: Sequence[str]) -> tuple[OperatingPoint, ...]:
    """The object ``medai.operating_point`` of the metadata, or the list of them, one per finding.

    What names no class of the model, or has no threshold between 0 and 1, is left out.
    """
    own = metadata.get("medai")
    given = own.get("operating_point") if isinstance(own, Mapping) else None
    listed = given if isinstance(given, list) else [given]
    points = [_point(one, classes) for one in listed[:_MOST] if isinstance(one, Mapping)]
    return tuple({point.name: point for point in points if point is not None}.values())


def _point(given: Mapping[str, Any], classes: Sequence[str]) -> OperatingPoint | None:
    name, threshold = plain_text(given.get("name")), _share(given.get("threshold"))
    if name not in classes or math.isnan(threshold):
        return None
    cases = given.get("cases")
    return OperatingPoint(
        name,
        threshold,
        _share(given.get("sensitivity")),
        _share(given.get("specificity")),
        cases if isinstance(cases, int) and 0 < cases < 1e9 else 0,
        plain_text(given.get("rule")),
    )


def _share(value: object) -> float:
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1
    return float(value) if known else math.nan  # type: ignore[arg-type]  # a number
