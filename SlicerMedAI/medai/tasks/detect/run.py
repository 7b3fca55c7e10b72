"""From a job to its result."""

from __future__ import annotations

import numpy as np

from medai.bundles.description import Description
from medai.engine.devices import choose_device
from medai.engine.loaded import LoadedModels
from medai.jobs.job import Job
from medai.progress import Report
from medai.result import Boxes, Result
from medai.tasks.detect.choice import check_choice
from medai.tasks.detect.one_model import OneModel
from medai.tasks.detect.parameters import DetectParameters
from medai.tasks.detect.suppression import chosen, without_doubles
from medai.tasks.detect.tables import findings, findings_over_frames
from medai.tasks.life import Life, Part
from medai.volume import Series

_EVEN = 0.5


def run(job: Job, report: Report, loaded: LoadedModels) -> Result:
    """Look for things in the job's image, or in every frame of its series.

    Parameters
    ----------
    job : Job
        Parameters as in `DetectParameters`.
    report : callable
        Hears of every window; may raise to cancel.
    loaded : LoadedModels
        Where the model is found or kept.

    Returns
    -------
    Result
        `Boxes` in RAS mm along the image's own axes, the most certain first, and a `Table` "findings" of them. For a
        Series, one Result per frame and a table of all frames.

    Raises
    ------
    MedAIError
        With what happened, why, and what to do.
    """
    parameters = DetectParameters.of(job.parameters)
    description = check_choice(job.bundle, parameters)
    life = Life(job, report, "Detecting")
    life.at("Preparing")
    inputs = job.inputs
    frames = life.frames
    device = choose_device(parameters.device)
    model = OneModel(life, description, life.ladder(description.root, device, loaded, parameters))
    for warning in description.warnings(frames[0]):
        life.tell(warning)
    life.mention(device.reason)
    life.at("Loading model")
    model.load()
    thresholds = _thresholds(description, parameters, life)
    found = [
        _kept(model.boxes(images, Part(n, len(frames))), parameters, thresholds) for n, images in enumerate(frames)
    ]
    provenance = life.provenance([description], parameters, model.ladder.device)
    if not isinstance(inputs, Series):
        return Result((found[0], findings(found[0])), provenance)
    frames_of = tuple(Result((boxes, findings(boxes)), provenance) for boxes in found)
    return Result((findings_over_frames(inputs, found),), provenance, frames_of)


def _thresholds(description: Description, parameters: DetectParameters, life: Life) -> dict[str, float]:
    """From which score on something of a class is a finding; under ``""`` for classes that are not named."""
    if parameters.threshold is not None:
        return {"": parameters.threshold}
    points = {point.name: point.threshold for point in description.operating_points}
    said = "; ".join(str(point) for point in description.operating_points)
    life.tell(f"Shown is {said}." if said else f"Shown are findings with a score from {_EVEN:g} on.")
    return {"": min(points.values(), default=_EVEN), **points}


def _kept(found: Boxes, parameters: DetectParameters, thresholds: dict[str, float]) -> Boxes:
    wanted = None if parameters.classes is None else {name.casefold() for name in parameters.classes}
    numbers = [
        n
        for n, (region, score, name) in enumerate(zip(found.regions, found.scores, found.classes, strict=True))
        if score >= thresholds.get(name, thresholds[""])
        and (wanted is None or name.casefold() in wanted)
        and (not parameters.regions or any(r.contains(region.center[np.newaxis])[0] for r in parameters.regions))
    ]
    return without_doubles(chosen(found, numbers), parameters.largest_overlap)
