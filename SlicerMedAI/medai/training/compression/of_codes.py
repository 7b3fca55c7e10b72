"""Compression of generators: what they make of the same codes has to stay what it was. No patient's data are needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from medai.bundles.description import Description
from medai.bundles.latents import Latents
from medai.bundles.pipeline import Pipeline
from medai.bundles.quantized import in_float
from medai.errors import InputError
from medai.progress import Progress, Report
from medai.result import Labelmap
from medai.tasks.synthesize.sampling import Sample, samples
from medai.training.compression import comparison
from medai.training.compression.comparison import Judged
from medai.training.compression.compiled import Call
from medai.training.compression.losses import AgainstTeacher
from medai.training.compression.request import CompressionRequest
from medai.training.compression.samples import has_image
from medai.training.compression.work import Lessons, Shown, Work
from medai.training.data import DataList
from medai.training.evaluation import Estimate
from medai.training.evaluation.bootstrap import Interval, interval
from medai.training.evaluation.restoration import restoration_metrics

if TYPE_CHECKING:
    from medai.engine.loaded import LoadedModels

_FEWEST = 8
_LEARNED = 512
_COMPARED = 32
_SEED = 1_000_000
"""Of the images that are compared: none that is learned from."""


class OfCodes(Work):
    """A model that makes images from random numbers.

    Parameters
    ----------
    description : Description
    pipeline : Pipeline
        On the CPU.
    data : DataList
        Images that it learned from, divided as they were then, where its distance from real ones is to be measured
        too; may be empty.

    Raises
    ------
    InputError
        When it starts with something else than a latent code, or there are images, but too few to judge by.
    """

    looking = "Drawing codes"

    def __init__(self, description: Description, pipeline: Pipeline, data: DataList) -> None:
        if pipeline.latents is None:
            raise InputError(
                f"The model '{description.name}' cannot be compressed.",
                "It is not known with which random numbers it starts.",
                "Choose a generator that makes images from a latent code.",
            )
        real = data.where(has_image)
        if len(data) and len(real) < _FEWEST:
            raise InputError(
                f"There are too few images to judge '{description.name}' by.",
                f"'{data.name}' has {len(real)}; at least {_FEWEST} are needed.",
                "Name more images, or leave --data out: a generator can be compressed without any.",
            )
        self.description, self.pipeline, self.data = description, pipeline, real
        self.network = in_float(pipeline.network)
        self.latents: Latents = pipeline.latents

    def calls(self, request: CompressionRequest, at: Callable[[int, int], None]) -> list[Call]:
        """Codes of all conditions in turn."""
        at(0, 1)
        return [(code,) for code in self._codes(request.calibration, request.parameters.seed)]

    def lessons(self, request: CompressionRequest, at: Callable[[int, int], None]) -> Lessons:
        """Codes; the teacher makes of them what the student should."""
        at(0, 1)
        nothing = torch.tensor(-1)
        cases = [{"image": code[0], "label": nothing} for code in self._codes(_LEARNED, request.parameters.seed)]
        told = f"Trained to make of {len(cases)} codes what the original makes of them; no image was needed."
        return Lessons(cases, ("image",), self.network, AgainstTeacher("synthesize", exclusive=False), (), told)

    def judged(self, root: Path, report: Report, loaded: LoadedModels) -> tuple[Judged, ...]:
        """How like the original's images they are and, where there are real ones, the distance of both from these."""
        before = samples(loaded.get(self.description.root, "cpu"), _COMPARED, _SEED)
        after = samples(loaded.get(root, "cpu"), _COMPARED, _SEED)
        columns: dict[str, list[float]] = {"ssim_to_original": [], "dice_to_original": []}
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            report(Progress("Judging the new model", number, _COMPARED))
            columns["ssim_to_original"].append(_likeness(one, other))
            if one.labelmap is not None and other.labelmap is not None:
                columns["dice_to_original"].append(_dice(one.labelmap, other.labelmap))
        found = [_to_itself(name, np.array(values)) for name, values in columns.items() if values]
        real = comparison.evaluated(self.description, root, self.data, report, loaded)
        return (*(one for one in found if math.isfinite(one.after.value)), *real)

    def shown(self) -> Shown:
        """A code."""
        return (self.latents.draw(1, 0),)

    def _codes(self, count: int, seed: int) -> Iterator[torch.Tensor]:
        conditions = max(len(self.latents.conditions), 1)
        for number in range(count):
            own = int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
            yield self.latents.draw(1, own, number % conditions)


def _to_itself(name: str, values: NDArray[np.float64]) -> Judged:
    """The original makes its own images: before, everything is 1."""
    found = interval(lambda drawn: float(np.nanmean(drawn)) if not np.isnan(drawn).all() else math.nan, (values,))
    apart = Interval(found.value - 1, found.low - 1, found.high - 1)
    same = Interval(1.0, math.nan, math.nan)
    return Judged(Estimate.of(name, same, len(values)), Estimate.of(name, found, len(values)), apart)


def _likeness(one: Sample, other: Sample) -> float:
    """SSIM; its data range is the original image's."""
    low, high = float(one.image.array.min()), float(one.image.array.max())
    if low == high:
        return math.nan
    return float(restoration_metrics(one.image.array, other.image.array, (low, high))["ssim"])


def _dice(one: Labelmap, other: Labelmap) -> float:
    """The mean over the structures that either has."""
    pairs = [(one.mask(segment), other.mask(segment)) for segment in one.segments]
    found = [2 * float((a & b).sum()) / float(a.sum() + b.sum()) for a, b in pairs if a.any() or b.any()]
    return float(np.mean(found)) if found else math.nan
