"""Compression of networks that look at images: they are shown images, and judged by `medai.training.judge`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from monai.transforms import RandFlipd, RandGaussianNoised, RandScaleIntensityd, RandShiftIntensityd

from medai.bundles.description import Description
from medai.bundles.pipeline import Pipeline
from medai.bundles.quantized import in_float
from medai.errors import InputError
from medai.progress import Report
from medai.training.class_order import in_order_of
from medai.training.compression import comparison, samples
from medai.training.compression.comparison import Judged
from medai.training.compression.compiled import Call, tensors
from medai.training.compression.losses import AgainstTeacher
from medai.training.compression.references import UNKNOWN, class_of, label_maps
from medai.training.compression.request import CompressionRequest
from medai.training.compression.work import Lessons, Shown, Work
from medai.training.data import DataList
from medai.training.data.item import DataItem
from medai.training.judge import images_of

if TYPE_CHECKING:
    from medai.engine.loaded import LoadedModels

_PER_IMAGE = 2


class OfImages(Work):
    """A model that takes an image.

    Parameters
    ----------
    description : Description
    pipeline : Pipeline
        On the CPU.
    data : DataList
        Cases with images.
    seed : int
        Of the division of undivided data.

    Raises
    ------
    InputError
        When no case has an image, or none is there to learn from.
    """

    def __init__(self, description: Description, pipeline: Pipeline, data: DataList, seed: int) -> None:
        self.description, self.pipeline = description, pipeline
        self.network = in_float(pipeline.network)
        self.whole = description.task != "encode"
        shown = data.where(samples.has_image)
        if not len(shown):
            raise InputError(
                f"There are no images to compress '{description.name}' with.",
                f"No case of '{data.name}' has one.",
                "Name data with images (--data), best with the references that the model was judged by.",
            )
        self.learned, self.held_out = samples.divided(shown, description.task, seed)

    def calls(self, request: CompressionRequest, at: Callable[[int, int], None]) -> list[Call]:
        """Windows of some images."""
        seed = request.parameters.seed
        few = samples.drawn(self.learned, request.calibration, seed)
        seen = samples.seen(self.pipeline, few, lambda n: at(n, len(few)), per_image=_PER_IMAGE, seed=seed)
        found: list[Call] = [(window,) for _, window, _ in seen]
        _check_any(found)
        return found

    def lessons(self, request: CompressionRequest, at: Callable[[int, int], None]) -> Lessons:
        """Windows of all images, with the references that are known of them."""
        task, learned = self.description.task, self.learned
        if task == "classify":
            learned = in_order_of(learned, self.description)
        maps = label_maps(self.pipeline, learned, self.description) if task == "segment" else None
        found = list(
            samples.seen(
                self.pipeline,
                learned,
                lambda n: at(n, len(learned)),
                per_image=request.parameters.patches,
                seed=request.parameters.seed,
                labels=maps,
            )
        )
        _check_any(found)
        with torch.inference_mode():
            outputs = tensors(self.network(found[0][1]))
        channels = int(outputs[0].shape[1]) if outputs[0].ndim > 1 else 1
        of_one = len(self.description.segments) + 1 == channels if task == "segment" else not learned.multi_label
        loss = AgainstTeacher(task, exclusive=channels > 1 and of_one)
        cases = [
            {"image": window[0], "label": _label(task, item, window, mark, channels)} for item, window, mark in found
        ]
        known = sum(bool(case["label"].min() >= 0) for case in cases) if loss.exclusive else 0
        mapped = all(case["label"].ndim > 0 for case in cases)
        told = (
            f"Trained on {len(cases)} windows of {len({id(item) for item, _, _ in found})} images against the original"
        )
        return Lessons(
            cases,
            ("image",),
            self.network,
            loss,
            (
                RandFlipd(keys=["image", "label"] if mapped else "image", prob=0.5, spatial_axis=0),
                RandScaleIntensityd(keys="image", factors=0.1, prob=0.5),
                RandShiftIntensityd(keys="image", offsets=0.1, prob=0.5),
                RandGaussianNoised(keys="image", std=0.05, prob=0.5),
            ),
            told + (f", and on the references of {known} of them." if known else "."),
        )

    def judged(self, root: Path, report: Report, loaded: LoadedModels) -> tuple[Judged, ...]:
        """By the scores of `medai evaluate`."""
        return comparison.evaluated(self.description, root, self.held_out, report, loaded)

    def shown(self) -> Shown:
        """The images of a case."""
        return images_of((self.held_out if len(self.held_out) else self.learned)[0])


def _label(task: str, item: DataItem, window: torch.Tensor, mark: torch.Tensor | None, count: int) -> torch.Tensor:
    if task == "segment":
        return mark[0] if mark is not None else torch.full((1, *window.shape[2:]), float(UNKNOWN))
    return class_of(item, count) if task == "classify" else torch.tensor(UNKNOWN)


def _check_any(found: Sequence[object]) -> None:
    if not found:
        raise InputError("There is nothing to learn from.", "The network saw no image.", "Choose other data.")
