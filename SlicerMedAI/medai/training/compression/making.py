"""Change the copy of a bundle by the method that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from medai.bundles.description import Description
from medai.bundles.pipeline import Pipeline
from medai.bundles.quantized import in_float
from medai.errors import InputError
from medai.progress import Report
from medai.tasks.life import Life
from medai.training.class_order import in_order_of
from medai.training.compression import networks, samples
from medai.training.compression.compiled import tensors
from medai.training.compression.losses import AgainstTeacher
from medai.training.compression.quantize import quantize
from medai.training.compression.recover import recover
from medai.training.compression.references import UNKNOWN, class_of, label_maps
from medai.training.compression.request import CompressionRequest
from medai.training.data import DataList
from medai.training.data.item import DataItem

_LOOKING = "Looking at images"
_PER_IMAGE = 2


def make(
    request: CompressionRequest,
    description: Description,
    pipeline: Pipeline,
    learned: DataList,
    root: Path,
    *,
    life: Life,
    report: Report,
) -> None:
    """Make the smaller network, and write it into the new bundle.

    Parameters
    ----------
    request : CompressionRequest
    description : Description
        Of the original.
    pipeline : Pipeline
        The original, on the CPU.
    learned : DataList
        To calibrate with or learn from.
    root : Path
        The copy, which is changed.
    life : Life
        Hears what a person should know.
    report : callable
        Hears of a training's progress.

    Raises
    ------
    MedAIError
        When the network does not permit it, or something else ended it.
    """
    seed = request.parameters.seed
    if request.method == "quantize":
        few = samples.drawn(learned, request.calibration, seed)
        seen = samples.seen(pipeline, few, lambda n: life.at(_LOOKING, n, len(few)), per_image=_PER_IMAGE, seed=seed)
        windows = [window for _, window, _ in seen]
        _check_any(windows)
        life.at("Quantising")
        quantize(root, in_float(pipeline.network), windows, life.tell)
        return
    if description.task == "classify":
        learned = in_order_of(learned, description)
    maps = label_maps(pipeline, learned, description) if description.task == "segment" else None
    found = list(
        samples.seen(
            pipeline,
            learned,
            lambda n: life.at(_LOOKING, n, len(learned)),
            per_image=request.parameters.patches,
            seed=seed,
            labels=maps,
        )
    )
    _check_any(found)
    life.at("Making the smaller network")
    content, student = networks.smaller(pipeline.root, pipeline.network, found[0][1], request)
    with torch.inference_mode():
        outputs = tensors(pipeline.network(found[0][1]))
    channels = int(outputs[0].shape[1]) if outputs[0].ndim > 1 else 1
    of_one = len(description.segments) + 1 == channels if description.task == "segment" else not learned.multi_label
    loss = AgainstTeacher(description.task, exclusive=channels > 1 and of_one)
    cases = [
        {"image": window[0], "label": _label(description.task, item, window, mark, channels)}
        for item, window, mark in found
    ]
    known = sum(bool(case["label"].min() >= 0) for case in cases)
    life.tell(
        f"Trained on {len(cases)} windows of {len({id(item) for item, _, _ in found})} images against the original"
        + (f", and on the references of {known} of them." if known and loss.exclusive else ".")
    )
    if description.operating_points:
        life.tell("Thresholds and the temperature are those of the original, fitted to its probabilities.")
    state = recover(student, pipeline.network, cases, loss=loss, chosen=request.parameters, report=report)
    networks.keep(root, content, state)


def _label(task: str, item: DataItem, window: torch.Tensor, mark: torch.Tensor | None, count: int) -> torch.Tensor:
    if task == "segment":
        return mark[0] if mark is not None else torch.full((1, *window.shape[2:]), float(UNKNOWN))
    return class_of(item, count) if task == "classify" else torch.tensor(UNKNOWN)


def _check_any(found: Sequence[object]) -> None:
    if not found:
        raise InputError("There is nothing to learn from.", "The network saw no image.", "Choose other data.")
