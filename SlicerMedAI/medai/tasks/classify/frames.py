"""Every frame of a job through every model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medai.errors import InputError, NothingToSeeError
from medai.tasks.classify.one_model import OneModel
from medai.tasks.classify.parameters import ViewParameters
from medai.tasks.classify.tables import Entry, entries_of
from medai.tasks.classify.views import View
from medai.tasks.life import Part
from medai.volume import Volume

Images = tuple[Volume, ...]
Found = tuple[list[View], list[Entry]]


def classified(
    models: Sequence[OneModel], frames: Sequence[Images], parameters: ViewParameters, parts: Sequence[Part]
) -> list[Found]:
    """The views of each frame, and what all models together say of them.

    A frame in which nothing can be seen, while in others there is, has no view and one entry without numbers.

    Parameters
    ----------
    models : sequence of OneModel
        The mean of their probabilities is taken.
    frames : sequence of tuple of Volume
    parameters : ViewParameters
        What parts of a frame are looked at.
    parts : sequence of Part
        Of the job, one per frame.

    Raises
    ------
    InputError
        When nothing can be seen in any frame, or the models do not look at the same.
    """
    found: list[Found | None] = []
    nothing: NothingToSeeError | None = None
    for n, (images, part) in enumerate(zip(frames, parts, strict=True)):
        try:
            found.append(_one(models, images, parameters, part))
        except NothingToSeeError as error:
            nothing = error
            found.append(None)
            if len(frames) > 1:
                models[0].life.tell(f"Frame {n} was not classified. {error.what} {error.why}")
    like = next((each for each in found if each is not None), None)
    if like is None:
        assert nothing is not None
        raise nothing
    unknown = Entry("", None, np.full_like(like[1][0].scores, np.nan))
    return [([], [unknown]) if each is None else each for each in found]


def _one(models: Sequence[OneModel], images: Images, parameters: ViewParameters, part: Part) -> Found:
    views: list[View] = []
    voters = []
    for n, model in enumerate(models):
        seen = model.views(images, parameters)
        if n and [view.block for view in seen] != [view.block for view in views]:
            raise InputError(
                f"The models '{models[0].description.title}' and '{model.description.title}' cannot be asked together.",
                "One works on single slices, the other on whole volumes.",
                "Choose models of the same kind.",
            )
        views = views or seen
        own = part.of(n, len(models))
        voters.append([model.scores(view, own.of(k, len(seen))) for k, view in enumerate(seen)])
    by_view = [[score for of_model in voters for score in of_model[k]] for k in range(len(views))]
    return views, entries_of(views, by_view)
