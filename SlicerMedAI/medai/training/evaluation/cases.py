"""What is evaluated: one case is a reference, what the model made of it, and whom it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medai.result import Labelmap, Table
from medai.training.evaluation.boxes import BoxArray
from medai.volume import Volume

Row = dict[str, object]


@dataclass(frozen=True, eq=False, kw_only=True)
class Case:
    """What all cases have.

    Parameters
    ----------
    name : str
        What a person calls it; stands in the table and below its picture.
    patient : str
        Whose image it is. Cases of one patient are drawn together for confidence intervals; ``""`` makes the case a
        patient of its own.
    image : Volume, optional
        What is shown when the case is among the worst; a 2D picture is a volume of one slice, colours its components.
    """

    name: str
    patient: str = ""
    image: Volume | None = field(default=None, repr=False)

    def person(self, position: int) -> str:
        """The patient, or the case itself by its position: two cases may have the same name."""
        return f"patient {self.patient}" if self.patient else f"case {position}"


@dataclass(frozen=True, eq=False, kw_only=True)
class ClassificationCase(Case):
    """A classified image.

    Parameters
    ----------
    truth : int or array_like, shape (L,)
        Class number; or, for several findings at once, 0, 1 or NaN (unknown) for each.
    probability : float or array_like, shape (C,) or (L,)
        A single number is the probability of class 1 of 2; otherwise one per class (they compete, their sum is 1) or
        per finding.
    """

    truth: ArrayLike
    probability: ArrayLike


@dataclass(frozen=True, eq=False, kw_only=True)
class SegmentationCase(Case):
    """A segmented image.

    Parameters
    ----------
    reference, prediction : Volume of integers, or Labelmap
        On the same grid. Structures are found by value in a Volume, by their segment's name in a Labelmap.
    """

    reference: Volume | Labelmap
    prediction: Volume | Labelmap


@dataclass(frozen=True, eq=False, kw_only=True)
class DetectionCase(Case):
    """An image in which something was looked for.

    Parameters
    ----------
    reference, prediction : BoxArray
        In the same frame.
    axes : ndarray, shape (3, 3), optional
        Of boxes in mm: their axes in RAS (columns), as given to `BoxArray.of`. None for boxes in voxels (i, j[, k]) of
        the image, whose voxels reach from index to index + 1. Only for the picture.
    """

    reference: BoxArray
    prediction: BoxArray
    axes: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class RestorationCase(Case):
    """A denoised or synthesised image.

    Parameters
    ----------
    reference, restored : Volume
        On the same grid and intensity scale.
    degraded : Volume, optional
        What the model was given, to say what it gained.
    data_range : (float, float), optional
        Lowest and highest intensity that count; the reference's own when not given.
    mask : ndarray of bool, optional
        Voxels that count, on the grid of the reference.
    """

    reference: Volume
    restored: Volume
    degraded: Volume | None = None
    data_range: tuple[float, float] | None = None
    mask: NDArray[np.bool_] | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False, kw_only=True)
class SynthesisCase(Case):
    """A real image or a synthetic one, all of one size with one channel, their values from 0 to 1.

    Parameters
    ----------
    origin : str
        ``"synthetic"``; ``"training"`` of those that the generator learned from; ``"held back"`` of other real ones.
    features : ndarray, shape (F,)
        What the Fréchet distance compares.
    traits : ndarray, shape (T,)
        What a classifier may tell real and synthetic images by.
    """

    origin: Literal["synthetic", "training", "held back"]
    features: NDArray[np.float64] = field(repr=False)
    traits: NDArray[np.float64] = field(repr=False)


@dataclass(frozen=True, eq=False, kw_only=True)
class ForecastCase(Case):
    """A forecast from the first visits of a subject, and what was measured later.

    Parameters
    ----------
    visits : int
        Of which the forecast was made.
    years : ndarray, shape (H,)
        From the last of them to each later visit, the next one first.
    truth, location, scale : ndarray, shape (H, P)
        What was measured then of each target, NaN where it was not; and of the logistic distribution forecast.
    carried : sequence of float, length P
        The last value known at the time of the forecast, NaN when none was.
    line : sequence of sequence of float, shape (P, H)
        The subject's own straight line.
    label : int, optional
        The subject's class, where it is known.
    probabilities : sequence of float, length K
        Of the classes; empty of a model that tells none.
    """

    visits: int
    years: NDArray[np.float64]
    truth: NDArray[np.float64]
    location: NDArray[np.float64]
    scale: NDArray[np.float64]
    carried: Sequence[float]
    line: Sequence[Sequence[float]]
    label: int | None = None
    probabilities: Sequence[float] = ()


AnyCase = ClassificationCase | SegmentationCase | DetectionCase | RestorationCase | SynthesisCase | ForecastCase


def table_of(rows: list[Row]) -> Table:
    """Rows as one table, columns in the order of first appearance, empty where a number is not defined."""
    titles = list(dict.fromkeys(title for row in rows for title in row))
    return Table({title: tuple(_cell(row.get(title, "")) for row in rows) for title in titles}, "cases")


def _cell(value: object) -> object:
    if isinstance(value, float | np.floating):
        # Six digits are more than any metric deserves, and the same on every machine.
        return "" if np.isnan(value) else f"{value:.6g}"
    return value


def numbers(rows: list[Row], title: str, where: Mapping[str, object] | None = None) -> NDArray[np.float64]:
    """One column as numbers, of the rows that have the given values in other columns."""
    chosen = (row for row in rows if all(row.get(key) == value for key, value in (where or {}).items()))
    return np.array([row.get(title, np.nan) for row in chosen], dtype=np.float64)
