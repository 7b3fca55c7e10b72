"""Cases of a forecaster: every prefix of a subject's visits, with what was measured afterwards."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from monai.transforms import RandomizableTransform

from medai.tasks.forecast.course import Course
from medai.training.data import DataList, read_data_list
from medai.training.data.courses import courses, labels


def series_cases(datalist: str, part: str, *, targets: Sequence[str], images: bool = False) -> list[dict[str, Any]]:
    """Cases of one part of a saved data list, as dictionaries for `medai.transforms.LoadVisitsd`.

    Parameters
    ----------
    datalist : str
        A MONAI data list of visits.
    part : str
        ``"training"``, ``"validation"`` or ``"test"``.
    targets : sequence of str
        What is forecast.
    images : bool
        Whether the network takes images.
    """
    return prefixes(read_data_list(datalist, "monai").part(part), targets, images=images)


def prefixes(data: DataList, targets: Sequence[str], *, images: bool = False, least: int = 1) -> list[dict[str, Any]]:
    """Each subject's first `least`, ... visits, all later ones being what is to be said of them.

    ``"label"`` has a row per date of ``"at"``: the targets' values, NaN where they were not measured, and in the last
    column the subject's class, NaN where it is not known. Prefixes of which nothing is known afterwards are left out.
    """
    classes = labels(data)
    found: list[dict[str, Any]] = []
    for course in courses(data):
        label = classes[course.subject]
        truth = course.values(targets)
        for count in range(least, len(course) + 1):
            later = truth[count:]
            if label is None and np.isnan(later).all():
                continue
            days = course.days[count:]
            if not len(days):  # its class can be told, and there is no date to say more of
                days, later = course.days[-1:], np.full((1, len(targets)), math.nan)
            told = np.full((len(days), 1), math.nan if label is None else float(label))
            found.append(
                {
                    "name": f"{course.subject} after {count} visit{'s' if count > 1 else ''}",
                    "patient": course.subject,
                    "visits": _without_images(course.until(count), images),
                    "at": days,
                    "label": np.concatenate([later, told], axis=1),
                }
            )
    return found


def _without_images(course: Course, images: bool) -> Course:
    if images or not course.has_images:
        return course
    return replace(course, visits=tuple(replace(one, image=None) for one in course.visits))


class RandSkipVisitsd(RandomizableTransform):  # type: ignore[misc]
    """Leaves out visits, single measurements and images at random, as happens to patients.

    Parameters
    ----------
    visits : float
        Chance of each visit to be left out; one always stays.
    values : float
        Chance of each measurement, and of each image, of the visits that stay.
    """

    def __init__(self, *, visits: float, values: float) -> None:
        super().__init__()
        self.visits, self.values = visits, values

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Of a case between `LoadVisitsd` and `StackVisitsd`."""
        found = dict(data)
        values, times = np.array(found["values"]), np.asarray(found["times"])
        stays = self.R.random(len(times)) >= self.visits
        stays[self.R.randint(len(times))] = True
        lost = self.R.random(values.shape) < self.values
        values[lost] = np.nan
        found["values"], found["times"] = values[stays], times[stays]
        if "frames" in found:
            unseen = self.R.random(len(times)) < self.values
            frames = [None if gone else frame for frame, gone in zip(found["frames"], unseen, strict=True)]
            found["frames"] = [frame for frame, stay in zip(frames, stays, strict=True) if stay]
        return found
