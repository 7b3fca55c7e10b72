"""From a job to its result."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from medai.engine.devices import choose_device
from medai.engine.loaded import LoadedModels
from medai.engine.voting import vote
from medai.errors import NothingToSeeError
from medai.jobs.job import Job
from medai.progress import Report
from medai.result import Labelmap, Result, Table
from medai.tasks.life import Life, Part
from medai.tasks.segment.choice import check_choice
from medai.tasks.segment.one_model import OneModel
from medai.tasks.segment.parameters import SegmentParameters
from medai.tasks.segment.tables import volumes, volumes_over_frames
from medai.volume import Series, Volume

_Items = tuple[Labelmap, Table] | tuple[Labelmap, Table, Volume]


def run(job: Job, report: Report, loaded: LoadedModels) -> Result:
    """Segment the job's image, or every frame of its series.

    Parameters
    ----------
    job : Job
        Parameters as in `SegmentParameters`.
    report : callable
        Hears of every window; may raise to cancel.
    loaded : LoadedModels
        Where the models are found or kept.

    Returns
    -------
    Result
        A `Labelmap` on the input's own grid and a `Table` "volumes"; where results were combined, also a `Volume` of
        their disagreement. For a Series, one Result per frame and a table of all frames.

    Raises
    ------
    MedAIError
        With what happened, why, and what to do.
    """
    parameters = SegmentParameters.of(job.parameters)
    choices = check_choice(job.bundle, parameters)
    life = Life(job, report, "Segmenting")
    life.at("Preparing")
    inputs = job.inputs
    frames = life.frames
    device = choose_device(parameters.device)
    models = []
    for choice in choices:
        ladder = life.ladder(choice.description.root, device, loaded, parameters)
        models.append(OneModel(life, parameters, choice, ladder))
    if not parameters.finds_region:
        for model in models:
            # Said before anything slow happens, so that a person can still change their mind.
            model.warn(frames[0], parameters.regions)
    life.mention(device.reason)
    life.at("Loading model")
    for model in models:
        model.load()
    found = _frames(models, frames, life)
    provenance = life.provenance([choice.description for choice in choices], parameters, models[0].ladder.device)
    if not isinstance(inputs, Series):
        return Result(found[0], provenance)
    summary = volumes_over_frames(inputs, [items[0] for items in found])
    return Result((summary,), provenance, tuple(Result(items, provenance) for items in found))


def _frames(models: list[OneModel], frames: list[tuple[Volume, ...]], life: Life) -> list[_Items]:
    """The result of each frame; where there is nothing to see in a frame, but in others, an empty one."""
    found: list[_Items | None] = []
    nothing: NothingToSeeError | None = None
    for n, images in enumerate(frames):
        if n + 1 < len(frames):
            models[0].prepare_ahead(frames[n + 1])
        try:
            found.append(_one(models, images, Part(n, len(frames))))
        except NothingToSeeError as error:
            nothing = error
            found.append(None)
            if len(frames) > 1:
                life.tell(f"Frame {n} has an empty result. {error.what} {error.why}")
    like = next((items for items in found if items is not None), None)
    if like is None:
        assert nothing is not None
        raise nothing
    return [_empty(like, images[0]) if items is None else items for items, images in zip(found, frames, strict=True)]


def _empty(like: _Items, image: Volume) -> _Items:
    """What another frame's result would be if nothing had been found."""
    labelmap = like[0]
    array = np.zeros((*labelmap.array.shape[:-3], *image.shape), labelmap.array.dtype)
    empty = replace(labelmap, array=array, affine=image.affine, name=f"{image.name} segmentation")
    if len(like) == 2:
        return empty, volumes(empty)
    certain = Volume(np.zeros(image.shape, np.float32), image.affine, f"{image.name} uncertainty")
    return empty, volumes(empty), certain


def _one(models: list[OneModel], images: tuple[Volume, ...], part: Part) -> _Items:
    voters: list[Labelmap] = []
    casting = None
    for n, model in enumerate(models):
        labelmaps, casting = model.labelmaps(images, part.of(n, len(models)))
        voters += labelmaps
    if len(voters) == 1:
        found = models[0].kept(voters[0])
        return found, volumes(found)
    winner, disagreement = vote(voters, casting if len(models) == 1 else None)
    # Not before the vote: what is not kept would count as background.
    winner = replace(models[0].kept(winner), name=voters[0].name)
    name = f"{images[0].name} uncertainty"
    return winner, volumes(winner), Volume(np.ascontiguousarray(disagreement), winner.affine, name)
