"""A forecaster on series of which it is known how they went on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from medai.tasks.forecast.baselines import carried_forward, straight_line
from medai.tasks.forecast.course import LEAST_VISITS, YEAR
from medai.tasks.forecast.model import ForecastModel
from medai.training.components.visits import prefixes
from medai.training.data import DataList
from medai.training.evaluation.cases import ForecastCase


def forecasted(
    model: ForecastModel, data: DataList, at: Callable[[int], None], least: int = LEAST_VISITS
) -> Iterator[ForecastCase]:
    """Every prefix of every subject's visits, and what came after it: the next visit's values and those after it.

    Parameters
    ----------
    model : ForecastModel
    data : DataList
        Visits.
    at : callable
        Hears of the number of cases done; may raise to stop.
    least : int
        Visits of the shortest prefix.
    """
    for done, case in enumerate(prefixes(data, model.targets, images=model.images, least=least)):
        at(done)
        course, days = case["visits"], case["at"]
        found = model.forecast(course, days)
        known = course.values(model.targets)
        columns = range(len(model.targets))
        label = case["label"][0, -1]
        yield ForecastCase(
            name=case["name"],
            patient=course.subject,
            visits=len(course),
            years=(days - course.days[-1]) / YEAR,
            truth=case["label"][:, :-1],
            location=found.location,
            scale=found.scale,
            carried=tuple(carried_forward(known[:, n]) for n in columns),
            line=tuple(tuple(straight_line(course.days, known[:, n], days)) for n in columns),
            label=None if label != label else int(label),  # noqa: PLR0124 - NaN
            probabilities=tuple(found.probabilities),
        )
