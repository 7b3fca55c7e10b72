"""From a job to its result."""

from __future__ import annotations

from medai.engine.devices import choose_device
from medai.engine.loaded import LoadedModels
from medai.jobs.job import Job
from medai.progress import Report
from medai.result import Item, Result
from medai.tasks.life import Life
from medai.tasks.synthesize.choice import check_choice
from medai.tasks.synthesize.parameters import SynthesizeParameters
from medai.tasks.synthesize.sampling import samples
from medai.volume import SYNTHETIC


def run(job: Job, report: Report, loaded: LoadedModels) -> Result:
    """Make the job's images.

    Parameters
    ----------
    job : Job
        Without inputs; parameters as in `SynthesizeParameters`.
    report : callable
        Hears of every image; may raise to cancel.
    loaded : LoadedModels
        Where the model is found or kept.

    Returns
    -------
    Result
        For every image a `Volume` whose name and notes say that it is synthetic and, from a model that makes labels
        too, a `Labelmap` behind it.

    Raises
    ------
    MedAIError
        With what happened, why, and what to do.
    """
    parameters = SynthesizeParameters.of(job.parameters)
    description = check_choice(job.bundle, parameters)
    life = Life(job, report, "Making images")
    device = choose_device(parameters.device)
    life.mention(device.reason)
    life.tell(SYNTHETIC)
    if description.caution:
        life.tell(description.caution)
    life.at("Loading model")
    pipeline = loaded.get(description.root, device.name)
    for note in pipeline.notes:
        life.tell(note)
    life.at(life.working, 0, parameters.count)
    items: list[Item] = []
    asked = {name: getattr(parameters, name) for name in ("condition", "first", "walk", "steps")}
    for done, sample in enumerate(samples(pipeline, parameters.count, parameters.seed, **asked), 1):
        items += [item for item in (sample.image, sample.labelmap) if item is not None]
        life.at(life.working, done, parameters.count)
    return Result(tuple(items), life.provenance([description], parameters, device))
