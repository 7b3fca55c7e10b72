"""What a network sees: images of a data list as they reach it through the bundle's own preprocessing and inferer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from medai.bundles.pipeline import Pipeline
from medai.errors import InputError
from medai.training.data import DataList, split
from medai.training.data.item import TEST, TRAINING, VALIDATION, DataItem
from medai.training.judge import images_of

_REFERENCES = {
    "segment": ("label",),
    "classify": ("label",),
    "detect": ("box", "label", "mask"),
    "translate": ("target",),
}
_MOST_VALUES = 2**29
"""Numbers kept in memory at most: 2 GB."""


def has_reference(task: str, item: DataItem) -> bool:
    """Whether a model of this task can be judged by a case; a visit says how those before it went on."""
    if task == "forecast":
        return True
    keys = _REFERENCES.get(task, ("image",))
    return any(key in item.files or item.values.get(key) is not None for key in keys)


def has_image(item: DataItem) -> bool:
    """Whether there is anything that the network can look at."""
    return bool(item.files.get("image"))


def divided(data: DataList, task: str, seed: int) -> tuple[DataList, DataList]:
    """Cases to learn from, and cases to judge by, of which none is learned from.

    The test part of divided data judges, else the validation part; data that are not divided give a fifth of their
    patients. Without references there is nobody to judge by, and all is learned from.

    Raises
    ------
    InputError
        When all cases are for judging.
    """
    judged = data.part(TEST) if len(data.part(TEST)) else data.part(VALIDATION)
    if not len(judged):
        if not any(has_reference(task, item) for item in data) or len(data) < 2:
            return data, data.with_items(())
        data = split(data, validation=0.2, seed=seed)
        judged = data.part(VALIDATION)
    learned = data.part(TRAINING)
    if not len(learned):
        learned = data.where(lambda item: item.split not in (TRAINING, TEST, VALIDATION))
    if not len(learned):
        raise InputError(
            "There is nothing to learn from.",
            "All cases of the data are for judging.",
            "Name data with a training part as well, or data that are not divided.",
        )
    return learned, judged.where(lambda item: has_reference(task, item))


def drawn(data: DataList, count: int, seed: int) -> DataList:
    """At most so many cases, drawn at random, in their own order."""
    if len(data) <= count:
        return data
    kept = np.random.default_rng(seed).choice(len(data), count, replace=False)
    return data.with_items([data[int(n)] for n in sorted(kept)])


def seen(
    pipeline: Pipeline,
    data: DataList,
    at: Callable[[int], None],
    *,
    per_image: int,
    seed: int = 0,
    labels: Callable[[DataItem, torch.Tensor], torch.Tensor | None] | None = None,
) -> Iterator[tuple[DataItem, torch.Tensor, torch.Tensor | None]]:
    """Windows of each image, shape (1, C, *spatial), exactly as the network is called with them.

    Parameters
    ----------
    pipeline : Pipeline
    data : DataList
    at : callable
        Told the number of each image; may raise to stop.
    per_image : int
        Windows of an image that are taken, at random.
    seed : int
    labels : callable, optional
        Gives the label map of a case on the grid of its prepared image, shape (1, 1, *spatial); then each window comes
        with the same window of it.
    """
    kept = 0
    for number, item in enumerate(data):
        at(number)
        batch = pipeline.preprocess(images_of(item))
        image = batch[pipeline.image_key(batch)]
        found = _windows(pipeline, batch, per_image, (seed, number), waiting=lambda n=number: at(n))  # type: ignore[misc]
        marked: list[Any] = [None] * len(found)
        label = labels(item, image) if labels is not None else None
        if label is not None:
            key = pipeline.image_key(batch)
            marked = _windows(pipeline, {key: label}, per_image, (seed, number), network=_Nothing())
        for window, mark in zip(found, marked, strict=True):
            kept += window.numel()
            yield item, window, mark
        if kept > _MOST_VALUES:
            break
    at(len(data))


class _Nothing(torch.nn.Module):  # type: ignore[misc]
    """Passes on what it sees."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The same."""
        return x


def _windows(
    pipeline: Pipeline,
    batch: Mapping[Any, Any],
    most: int,
    seed: tuple[int, ...],
    *,
    waiting: Callable[[], None] = lambda: None,
    network: torch.nn.Module | None = None,
) -> list[torch.Tensor]:
    """Some of the windows that a network is called with; the same ones for the same seed."""
    rng = np.random.default_rng(seed)
    found: list[torch.Tensor] = []
    passed = 0

    def look(_: torch.nn.Module, given: tuple[Any, ...]) -> None:
        nonlocal passed
        waiting()
        for window in given[0].detach().as_subclass(torch.Tensor).cpu().float().split(1):
            passed += 1
            # Of all that pass, each is kept with the same chance (Vitter's reservoir, ACM TOMS 1985).
            place = len(found) if len(found) < most else int(rng.integers(passed))
            if place < most:
                found[place : place + 1] = [window.clone()]

    hook = (network or pipeline.network).register_forward_pre_hook(look)
    try:
        pipeline.infer(dict(batch), network)
    finally:
        hook.remove()
    return found
