"""From a job to its result."""

from __future__ import annotations

from medai.engine.devices import choose_device
from medai.engine.loaded import LoadedModels
from medai.jobs.job import Job
from medai.progress import Report
from medai.result import Item, Result
from medai.tasks.classify.choice import Choice
from medai.tasks.classify.decision import decision_of
from medai.tasks.classify.frames import classified
from medai.tasks.classify.one_model import OneModel
from medai.tasks.classify.tables import over_frames, table_of
from medai.tasks.explain.choice import check_choice
from medai.tasks.explain.maps import Asked, relevance
from medai.tasks.explain.parameters import ExplainParameters
from medai.tasks.explain.target import target_of
from medai.tasks.life import Life, Part
from medai.volume import Series


def run(job: Job, report: Report, loaded: LoadedModels) -> Result:
    """Explain what a classifier finds in the job's image, or in every frame of its series.

    Parameters
    ----------
    job : Job
        Parameters as in `ExplainParameters`.
    report : callable
        Hears of every pass through the network; may raise to cancel.
    loaded : LoadedModels
        Where the model is found or kept.

    Returns
    -------
    Result
        A `Volume` on the image's grid, 0 to 1, and the `Table` "probabilities" of `medai.tasks.classify`. For a
        Series, one Result per frame, and a table and a plot of all frames.

    Raises
    ------
    MedAIError
        With what happened, why, and what to do.
    """
    parameters = ExplainParameters.of(job.parameters)
    description = check_choice(job.bundle, parameters)
    life = Life(job, report, "Explaining")
    life.at("Preparing")
    inputs = job.inputs
    frames = life.frames
    device = choose_device(parameters.device)
    model = OneModel(life, Choice(description), life.ladder(description.root, device, loaded, parameters))
    model.warn(frames[0])
    life.mention(device.reason)
    life.at("Loading model")
    model.load()
    # A map takes longer than the classification, but how much longer is not known before.
    parts = [Part(n, len(frames)) for n in range(len(frames))]
    found = classified([model], frames, parameters, [part.of(0, 2) for part in parts])
    count = len(found[0][1][0].scores)
    decision = decision_of([description], count, exclusive=model.exclusive, mirrored=False)
    life.tell(decision.note)
    items: list[tuple[Item, ...]] = []
    for images, (views, entries), part in zip(frames, found, parts, strict=True):
        target = target_of(decision, entries, parameters.target_class)
        asked = Asked(target, decision.names[target], parameters.method, parameters.layer, parameters.steps)
        items.append((relevance(model, images[0], views, asked, part.of(1, 2)), table_of(entries, decision)))
    provenance = life.provenance([description], parameters, model.ladder.device)
    if not isinstance(inputs, Series):
        return Result(items[0], provenance)
    table, plot = over_frames(inputs, [entries for _, entries in found], decision)
    return Result((table, plot), provenance, tuple(Result(each, provenance) for each in items))
