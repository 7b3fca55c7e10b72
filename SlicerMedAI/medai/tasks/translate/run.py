"""From a job to its result."""

from __future__ import annotations

from medai.engine.devices import choose_device
from medai.engine.loaded import LoadedModels
from medai.jobs.job import Job
from medai.progress import Report
from medai.result import Result
from medai.tasks.life import Life, Part
from medai.tasks.translate.choice import check_choice
from medai.tasks.translate.one_image import OneImage
from medai.tasks.translate.parameters import TranslateParameters
from medai.volume import SYNTHETIC, Series


def run(job: Job, report: Report, loaded: LoadedModels) -> Result:
    """Make an image of another contrast out of the job's image, or of every frame of its series.

    Parameters
    ----------
    job : Job
        Parameters as in `TranslateParameters`.
    report : callable
        Hears of every window; may raise to cancel.
    loaded : LoadedModels
        Where the model is found or kept.

    Returns
    -------
    Result
        A `Volume` "NAME synthetic" of the input's grid, in floats. For a Series, one Result per frame.

    Raises
    ------
    MedAIError
        With what happened, why, and what to do.
    """
    parameters = TranslateParameters.of(job.parameters)
    description = check_choice(job.bundle, parameters)
    life = Life(job, report, "Translating")
    life.at("Preparing")
    frames = life.frames
    for warning in description.warnings(frames[0]):
        life.tell(warning)
    device = choose_device(parameters.device)
    life.mention(device.reason)
    life.tell(SYNTHETIC)
    life.at("Loading model")
    model = OneImage(life, parameters, description, life.ladder(description.root, device, loaded, parameters))
    for note in model.ladder.pipeline.notes:
        life.tell(note)
    found = [model.translated(images, Part(n, len(frames))) for n, images in enumerate(frames)]
    provenance = life.provenance([description], parameters, model.ladder.device)
    if not isinstance(job.inputs, Series):
        return Result((found[0],), provenance)
    return Result((), provenance, tuple(Result((volume,), provenance) for volume in found))
