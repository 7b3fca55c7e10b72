"""Images out of nothing but random numbers, one after the other, so that a thousand take no more memory than one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medai.bundles.description import describe
from medai.bundles.explained import unusable
from medai.bundles.postprocessing import PRED
from medai.bundles.prediction import smallest_unsigned
from medai.errors import InputError
from medai.result import Labelmap
from medai.tasks.synthesize.choice import place_of
from medai.volume import SYNTHETIC, Volume

if TYPE_CHECKING:
    import torch

    from medai.bundles.latents import Latents
    from medai.bundles.pipeline import Pipeline

LABEL = "label"
"""The key under which a bundle saves the label map that belongs to its image."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One synthetic image.

    Parameters
    ----------
    number : int
        Which one of its seed's.
    image : Volume
    labelmap : Labelmap or None
        On the image's grid; None from a model that makes images only.
    condition : str
        What it was asked to show; ``""`` from a model that cannot be asked.
    """

    number: int
    image: Volume
    labelmap: Labelmap | None = None
    condition: str = ""


def samples(
    pipeline: Pipeline,
    count: int,
    seed: int = 0,
    *,
    condition: str | None = None,
    first: int = 0,
    walk: tuple[int, int] | None = None,
    steps: int | None = None,
) -> Iterator[Sample]:
    """Make images, each when it is asked for. Nothing is kept.

    Parameters
    ----------
    pipeline : Pipeline
        A loaded generator (`medai.engine.loaded.LoadedModels.get`).
    count : int
        How many.
    seed : int
        Image `number` of a seed is the same whatever else is made; 0 or more.
    condition : str or None
        What all of them are to show, one of ``pipeline.latents.conditions``. By default they take turns.
    first : int
        Number of the first image: ``samples(p, 2, first=3)`` gives what ``samples(p, 5)`` gives last.
    walk : (int, int) or None
        In place of `seed`: from the first image of one seed to the first of another in equal steps along a sphere.
    steps : int or None
        Images of a whole walk, both ends included, of which those from `first` on are made; by default up to the last
        that is made.

    Yields
    ------
    Sample

    Raises
    ------
    InputError
        When the model makes no images from random numbers, or does not know the condition.
    MedAIError
        As `Pipeline.infer` and `Pipeline.images`.
    """
    latents = pipeline.latents
    if latents is None:
        raise InputError(
            f"The model '{pipeline.root.name}' makes no synthetic images.",
            "It starts from an image, not from random numbers.",
            "Choose a model that makes images; 'medai models list' tells what each is for.",
        )
    asked = place_of(condition, latents.conditions, pipeline.root.name)
    numbers = range(first, first + count)
    return _made(pipeline, latents, numbers, seed=seed, asked=asked, walk=walk, steps=steps or numbers.stop)


def _made(
    pipeline: Pipeline,
    latents: Latents,
    numbers: range,
    *,
    seed: int,
    asked: int | None,
    walk: tuple[int, int] | None,
    steps: int,
) -> Iterator[Sample]:
    description = describe(pipeline.root)
    for number in numbers:
        place = asked if asked is not None else 0 if walk else number % max(len(latents.conditions), 1)
        if walk is None:
            code, source = _code(latents, seed, number, place), f"seed {seed}"
        else:
            ends = [_code(latents, end, 0, place) for end in walk]
            share = number / max(steps - 1, 1)
            code, source = latents.between(ends[0], ends[1], share, place), f"seeds {walk[0]} to {walk[1]}"
        shown = latents.conditions[place] if latents.conditions else ""
        name = " ".join(filter(None, ("synthetic", shown, f"{source} no {number}")))
        found = pipeline.images(pipeline.infer(code), name)
        image = Volume(found[PRED].array, found[PRED].affine, name, description.modality, notes=(SYNTHETIC,))
        labelmap = None
        if LABEL in found:
            values = found[LABEL]
            if values.array.ndim != 3 or not values.same_grid(image):
                raise unusable(pipeline.root.name, "Its label map is not on the grid of its image")
            labels = smallest_unsigned(values.array)
            labelmap = Labelmap(labels, image.affine, description.segments, f"{name} segmentation")
        yield Sample(number, image, labelmap, shown)


def _code(latents: Latents, seed: int, number: int, place: int) -> torch.Tensor:
    own = int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
    return latents.draw(1, own, place)
