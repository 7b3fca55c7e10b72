"""From a job to its result."""

from __future__ import annotations

from collections.abc import Sequence

from medai.engine.devices import choose_device
from medai.engine.loaded import LoadedModels
from medai.jobs.job import Job
from medai.progress import Report
from medai.result import Item, Result
from medai.tasks.classify.choice import check_choice
from medai.tasks.classify.decision import Decision, decision_of
from medai.tasks.classify.frames import classified
from medai.tasks.classify.one_model import OneModel
from medai.tasks.classify.parameters import ClassifyParameters
from medai.tasks.classify.tables import Entry, over_frames, over_slices, table_of
from medai.tasks.explain.maps import Asked, relevance
from medai.tasks.explain.target import target_of
from medai.tasks.life import Life, Part
from medai.volume import Series


def run(job: Job, report: Report, loaded: LoadedModels) -> Result:
    """Classify the job's image, or every frame of its series.

    Parameters
    ----------
    job : Job
        Parameters as in `ClassifyParameters`.
    report : callable
        Hears of every view; may raise to cancel.
    loaded : LoadedModels
        Where the models are found or kept.

    Returns
    -------
    Result
        A `Table` "probabilities": one row per class; or, of several slices or regions, one row for each, with the mean
        and the highest of all slices, and a `Plot` over them. On request a `Volume` that explains the finding. For a
        Series, one Result per frame, and a table and a plot of all frames.

    Raises
    ------
    MedAIError
        With what happened, why, and what to do.
    """
    parameters = ClassifyParameters.of(job.parameters)
    choices = check_choice(job.bundle, parameters)
    life = Life(job, report, "Classifying")
    life.at("Preparing")
    inputs = job.inputs
    frames = life.frames
    device = choose_device(parameters.device)
    models = [
        OneModel(life, choice, life.ladder(choice.description.root, device, loaded, parameters)) for choice in choices
    ]
    for model in models:
        model.warn(frames[0])
    life.mention(device.reason)
    life.at("Loading model")
    for model in models:
        model.load()
    # A map takes about as long as the classification.
    halves = 2 if parameters.explain else 1
    parts = [Part(n, len(frames)) for n in range(len(frames))]
    found = classified(models, frames, parameters, [part.of(0, halves) for part in parts])
    decision = _decision(models, found[0][1], parameters)
    life.tell(decision.note)
    items = [_items(entries, decision) for _, entries in found]
    if parameters.explain:
        if len(models) > 1:
            life.tell(f"Explained is what the first model, {choices[0].description.name}, finds.")
        for n, (views, entries) in enumerate(found):
            target = target_of(decision, entries)
            asked = Asked(target, decision.names[target], str(parameters.explain))
            items[n] = (*items[n], relevance(models[0], frames[n][0], views, asked, parts[n].of(1, 2)))
    descriptions = [choice.description for choice in choices]
    provenance = life.provenance(descriptions, parameters, models[0].ladder.device)
    if not isinstance(inputs, Series):
        return Result(items[0], provenance)
    table, plot = over_frames(inputs, [entries for _, entries in found], decision)
    return Result((table, plot), provenance, tuple(Result(each, provenance) for each in items))


def _decision(models: Sequence[OneModel], entries: Sequence[Entry], parameters: ClassifyParameters) -> Decision:
    descriptions = [model.description for model in models]
    count = len(entries[0].scores)
    return decision_of(descriptions, count, exclusive=models[0].exclusive, mirrored=parameters.tta)


def _items(entries: Sequence[Entry], decision: Decision) -> tuple[Item, ...]:
    table, plot = table_of(entries, decision), over_slices(entries, decision)
    return (table,) if plot is None else (table, plot)
