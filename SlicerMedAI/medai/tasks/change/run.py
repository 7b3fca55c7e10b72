"""From a job to its result."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medai.engine.devices import Device
from medai.engine.loaded import LoadedModels
from medai.errors import InputError
from medai.jobs.job import Job
from medai.progress import Report
from medai.result import Result
from medai.tasks.change.change import change
from medai.tasks.change.difference import same_image
from medai.tasks.change.parameters import ChangeParameters
from medai.tasks.change.segmenting import Segmented, segmented
from medai.tasks.life import Life
from medai.volume import Series

_WORKING = "Comparing"


def run(job: Job, report: Report, loaded: LoadedModels) -> Result:
    """Compare two visits.

    Parameters
    ----------
    job : Job
        Two images, or a Series, whose last two visits are compared. Of a bundle, where it has one, the structures
        found at both visits are. Parameters as in `ChangeParameters`.
    report : callable
        Hears of every step; may raise to cancel.
    loaded : LoadedModels
        Where the model is found or kept.

    Returns
    -------
    Result
        A `Labelmap` "lesion change", a `Volume` "NAME difference", a `Table` "lesion changes" and a `Table` "motion
        between visits", all at the place of the second visit.

    Raises
    ------
    MedAIError
        With what happened, why, and what to do.
    """
    parameters = ChangeParameters.of(job.parameters)
    life = Life(job, report, _WORKING)
    images = job.inputs.frames[-2:] if isinstance(job.inputs, Series) else tuple(job.inputs)
    if len(images) != 2:
        raise InputError(
            f"{len(images)} image cannot be compared." if len(images) == 1 else f"{len(images)} images were given.",
            "A comparison is of two visits.",
            "Choose an image of an earlier and one of a later visit.",
        )
    before, after = images
    if before.date and after.date and before.date > after.date:
        life.tell(f"'{before.name}' was taken for the earlier visit, but is of {before.date}, after {after.date}")
    if np.array_equal(before.affine, after.affine) and np.array_equal(before.array, after.array):
        raise same_image(before, after)  # at once, before anything is segmented or aligned
    found_by: Segmented = (None, [], Device("cpu", "No network is needed for a comparison"))
    if job.bundle != Path():
        found_by = segmented(job, images, parameters, life, loaded)
    outlined, models, device = found_by
    found = change(before, after, parameters, lambda done, total: life.at(_WORKING, done, total), outlined)
    for note in (*before.notes, *after.notes, *found.notes):
        life.tell(note)
    return Result(found.items, life.provenance(models, parameters, device))
