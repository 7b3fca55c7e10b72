"""From probabilities to what a person calls the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medai.bundles.description import Description
from medai.bundles.operating_points import OperatingPoint

Scores = NDArray[np.float64]

_EVEN = 0.5


@dataclass(frozen=True)
class Decision:
    """Where a model, or several together, decide.

    Parameters
    ----------
    names : tuple of str
        Of the classes or findings, in the order of the scores.
    exclusive : bool
        Whether just one of them is true.
    points : tuple of OperatingPoint
        Where a finding counts; of a choice among classes without one, none.
    note : str
        Says so to a person.
    """

    names: tuple[str, ...]
    exclusive: bool
    points: tuple[OperatingPoint, ...]
    note: str

    @property
    def thresholds(self) -> dict[str, float]:
        """By name."""
        return {point.name: point.threshold for point in self.points}

    def of_class(self, number: int, scores: Scores) -> str:
        """``"positive"`` or ``"negative"`` for what has a threshold; else ``"most probable"`` or nothing."""
        if np.isnan(scores).any():
            return ""
        threshold = self.thresholds.get(self.names[number])
        if threshold is not None:
            return "positive" if scores[number] >= threshold else "negative"
        return "most probable" if not self.points and number == int(scores.argmax()) else ""

    def of_all(self, scores: Scores) -> str:
        """The class, or all findings, in words."""
        if np.isnan(scores).any():
            return "nothing to see"
        if not self.exclusive:
            found = [name for n, name in enumerate(self.names) if self.of_class(n, scores) == "positive"]
            return ", ".join(found) or "none"
        if not self.points:
            return self.names[int(scores.argmax())]
        (point,) = self.points
        positive = self.names.index(point.name)
        return self.names[positive if scores[positive] >= point.threshold else 1 - positive]


def decision_of(models: Sequence[Description], count: int, *, exclusive: bool, mirrored: bool) -> Decision:
    """Where models with `count` scores decide.

    Parameters
    ----------
    models : sequence of Description
        One, or several whose mean is taken, which then decide at the mean of their thresholds.
    count : int
        Of scores.
    exclusive : bool
        Whether the classes exclude each other.
    mirrored : bool
        Whether mirrors of the image were looked at as well.
    """
    given = models[0].classes
    names = given if len(given) == count else tuple(f"class {n}" for n in range(count))
    points = _common_points(models, names)
    exclusive = exclusive and count > 1
    if exclusive and not (count == 2 and len(points) == 1):
        return Decision(names, exclusive, (), _argmax_note(models[0]))
    flat = len(models) > 1 or mirrored
    told = points if not flat else tuple(replace(p, sensitivity=np.nan, specificity=np.nan) for p in points)
    note = f"Positive is {'; '.join(map(str, told))}." if points else ""
    if points and flat:
        note += " This was chosen for one model without mirrors; for what was asked it is an estimate."
    if exclusive:
        return Decision(names, exclusive, points, note)
    without = [name for name in names if name not in {point.name for point in points}]
    if without:
        listed = f"for {', '.join(without)}" if points else "for this model"
        note = f"{note} Nobody has chosen an operating point {listed}; positive is what has 0.5 or more.".strip()
    even = tuple(OperatingPoint(name, _EVEN) for name in without)
    return Decision(names, exclusive, (*points, *even), note)


def _argmax_note(model: Description) -> str:
    return f"The model '{model.name}' has no operating point; the most probable class is taken."


def _common_points(models: Sequence[Description], names: Sequence[str]) -> tuple[OperatingPoint, ...]:
    """Those that all models have, at the mean of their thresholds."""
    listed = [{point.name.casefold(): point for point in model.operating_points} for model in models]
    found = []
    for name in names:
        points = [by_name[name.casefold()] for by_name in listed if name.casefold() in by_name]
        if len(points) == len(models):
            found.append(replace(points[0], name=name, threshold=float(np.mean([p.threshold for p in points]))))
    return tuple(found)
