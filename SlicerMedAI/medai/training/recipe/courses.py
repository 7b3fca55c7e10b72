"""What follows from the visits of a data list: what is measured, how it changes, what is to be forecast."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medai.errors import InputError
from medai.tasks.forecast.course import YEAR, Course
from medai.training.data import DataList, DataReport
from medai.training.data.courses import courses, labels, measured
from medai.training.data.item import TRAINING
from medai.training.data.longitudinal import SIMULATED
from medai.training.parameters import TrainingParameters
from medai.training.recipe.networks import FITTING, default_network
from medai.training.recipe.plan import Plan

_LARGEST_EDGE = 128
_LEARNING_RATE = 0.003
_MEMBERS = 5
_ENTRIES = 4
_SHORTEST_YEARS = 0.25  # noise would make a large change in a year of what changed in a week


@dataclass(frozen=True)
class Measurement:
    """One column of a table of visits.

    Parameters
    ----------
    name : str
        Its title.
    mean, spread : float
        Over the training visits.
    change : float
        Typical size of its change in a year.
    """

    name: str
    mean: float
    spread: float
    change: float


@dataclass(frozen=True)
class ForecastPlan(Plan):
    """The training of a forecaster.

    Parameters
    ----------
    measurements : tuple of Measurement
        That the network is told of.
    targets : tuple of str
        Those of them that it forecasts.
    visits : int
        The most of any subject.
    images : bool
        Whether it sees the visits' images.
    simulated : bool
        Whether the visits never took place.
    """

    measurements: tuple[Measurement, ...] = ()
    targets: tuple[str, ...] = ()
    visits: int = 2
    images: bool = False
    simulated: bool = False

    @property
    def places(self) -> list[int]:
        """Of the targets among the measurements."""
        names = [one.name for one in self.measurements]
        return [names.index(target) for target in self.targets]

    @property
    def outputs(self) -> int:
        """Numbers of one forecast: location and scale of each target, and a logit per class."""
        return 2 * len(self.targets) + len(self.classes)


def forecast_plan(
    data: DataList, report: DataReport, parameters: TrainingParameters, *, name: str, modality: str = ""
) -> ForecastPlan:
    """Decide what parameters leave open.

    Raises
    ------
    InputError
        When nothing was measured, no subject has two visits, or it is not known what to forecast.
    """
    training = data.part(TRAINING)
    found = courses(training)
    if not any(len(course) > 1 for course in found):
        raise InputError(
            "A forecast cannot be learned from these data.",
            "No subject for training has two visits.",
            "Choose a table with a row per visit, or a data list whose cases name their patient and delay.",
        )
    names = parameters.measurements or _varying(found, measured(training))
    unknown = [title for title in (*names, *parameters.targets) if title not in measured(data)]
    if unknown or not names:
        raise InputError(
            f"'{unknown[0]}' was not measured." if unknown else "Nothing was measured at the visits.",
            f"What was measured is: {', '.join(measured(data)) or 'nothing'}.",
            "Name columns of numbers (measurements=..., targets=...).",
        )
    targets = parameters.targets or _only(found, names)
    names = (*names, *(target for target in targets if target not in names))
    network = default_network("forecast") if parameters.network == "auto" else parameters.network
    if network not in FITTING["forecast"]:
        raise InputError(
            f"'{network}' cannot be used for 'network'.",
            "It is not made for the task 'forecast'.",
            f"Use one of: {', '.join(FITTING['forecast'])}.",
        )
    images = any(course.has_images for course in found)
    classes = {label for label in labels(data).values() if label is not None}
    decided = dataclasses.replace(
        parameters,
        network=network,
        loss="nll",
        augmentation=(),
        normalization="none",
        noise_model="gaussian",
        learning_rate=parameters.learning_rate or _LEARNING_RATE,
        schedule="one_cycle" if parameters.schedule == "auto" else parameters.schedule,
        members=parameters.members or _MEMBERS,
        patch_size=(parameters.patch_size or _size(report)) if images else None,
        spacing=(parameters.spacing or _spacing(report)) if images else None,
    )
    return ForecastPlan(
        task="forecast",
        name=name,
        dimensions=3,
        channels=1,
        classes={n: data.label_names.get(n, f"class {n}") for n in range(max(classes) + 1)} if classes else {},
        multi_label=False,
        modality=modality,
        parameters=decided,
        plain_files=True,
        measurements=tuple(_measurement(title, found) for title in names),
        targets=tuple(targets),
        visits=max(len(course) for course in courses(data)),
        images=images,
        simulated=(data.root / SIMULATED).is_file(),
    )


def _varying(found: Sequence[Course], names: Sequence[str]) -> tuple[str, ...]:
    """Those that say anything: one value in all visits does not."""
    values = {name: np.concatenate([course.values([name])[:, 0] for course in found]) for name in names}
    return tuple(name for name, column in values.items() if len(np.unique(column[~np.isnan(column)])) > 1)


def _only(found: Sequence[Course], names: Sequence[str]) -> tuple[str, ...]:
    """The one measurement that changes from visit to visit."""
    changing = tuple(name for name in names if any(len(set(_known(course, name)[1])) > 1 for course in found))
    if len(changing) != 1:
        raise InputError(
            "It is not known what to forecast.",
            f"Measurements that change from visit to visit are: {', '.join(changing) or 'none'}.",
            f"Name them, such as targets=[{(changing or names)[0]}].",
        )
    return changing


def _known(course: Course, name: str) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    values = course.values([name])[:, 0]
    known = ~np.isnan(values)
    return course.days[known] / YEAR, values[known]


def _measurement(name: str, found: Sequence[Course]) -> Measurement:
    series = [_known(course, name) for course in found]
    values = np.concatenate([value for _, value in series])
    if len(values) < _ENTRIES:
        raise InputError(
            f"'{name}' cannot be learned from.",
            f"It is known of {len(values)} training visits.",
            "Choose other columns.",
        )
    spread = float(values.std()) or 1.0
    rates = [np.abs(np.diff(value)) / np.maximum(np.diff(year), _SHORTEST_YEARS) for year, value in series]
    changed = np.concatenate(rates)
    # Of what seldom changes, the median is 0.
    change = float(np.median(changed)) or float(changed.mean()) if len(changed) else 0.0
    return Measurement(name, *(float(f"{n:.6g}") for n in (values.mean(), spread, change or spread / 10)))


def _spacing(report: DataReport) -> tuple[float, ...]:
    return tuple(round(axis.median, 4) for axis in report.images["image"].spacing)


def _size(report: DataReport) -> tuple[int, ...]:
    """About the median image, in multiples of 8."""
    sizes = [axis.median for axis in report.images["image"].size]
    return tuple(int(min(_LARGEST_EDGE, max(16, -(-size // 8) * 8))) for size in sizes)
