"""A bundle's labels for one image, in memory that does not grow with its classes times its voxels."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.data.utils import to_affine_nd
from monai.inferers import SlidingWindowInferer
from monai.transforms import Compose, Decollated

from medai.engine.streaming.axes import GridMap
from medai.engine.streaming.errors import NotStreamableError
from medai.engine.streaming.inferer import StreamingInferer
from medai.engine.streaming.inversion import inverted
from medai.engine.streaming.recipe import PRED, Recipe, read
from medai.engine.streaming.room import room_for_output
from medai.engine.streaming.windows import check_inferer, merging_device, windows_of
from medai.engine.windows import OnWindow
from medai.volume import Affine, Volume, apply_affine

if TYPE_CHECKING:
    from medai.bundles.pipeline import Pipeline
    from medai.bundles.prediction import Prediction

Data = dict[Any, Any]
Region = tuple[slice, slice, slice]
_log = logging.getLogger(__name__)


def predict(
    pipeline: Pipeline,
    batch: Data,
    reference: Volume,
    *,
    network: Callable[..., Any] | None = None,
    inferer: Any = None,
    on_window: OnWindow | None = None,
    region: Region | None = None,
    budget_bytes: int | None = None,
) -> Prediction:
    """The same labels as ``pipeline.postprocess(pipeline.infer(batch), reference)``, in bounded memory.

    What cannot be done so is done that way, with the same result; `why_not` tells.

    Parameters
    ----------
    pipeline : Pipeline
        The bundle.
    batch : dict
        From ``pipeline.preprocess``.
    reference : Volume
        The first input image, whose grid the labels get.
    network : callable, optional
        In place of the bundle's own.
    inferer : optional
        In place of the bundle's own, such as ``pipeline.inferer_for(overlap=0.5)``; it runs fewer windows at once where
        memory asks for it.
    on_window : callable, optional
        Called with the number of windows done; may raise to stop.
    region : tuple of slice, optional
        Along (k, j, i) of `reference`: only what it needs is computed, and labels outside are 0.
    budget_bytes : int, optional
        For the network's output and what is merged of it, on the device that merges; 0.6 of what is free otherwise.
        The least it can be held to is about one window.

    Raises
    ------
    MedAIError
        As ``pipeline.infer`` and ``pipeline.postprocess`` do.
    """
    own = inferer or pipeline.inferer
    room = partial(_room, pipeline, batch, reference, network, own)
    try:
        streaming = _plan(pipeline, batch, own)
    except NotStreamableError as reason:
        _log.info("The whole output is kept in memory, because %s.", reason)
        with room():
            sample = pipeline.infer(batch, network, inferer=own, on_window=on_window)  # type: ignore[arg-type]
        return _only(pipeline.postprocess(sample, reference), region)
    streaming.budget_bytes, streaming.on_window, streaming.room = budget_bytes, on_window, room
    if region is not None and streaming.recipe.local:
        streaming.wanted = _box(region, reference, streaming.grid)
    sample = pipeline.infer(batch, network, inferer=streaming)  # type: ignore[arg-type]
    if streaming.why_not:
        _log.info("The whole output was kept in memory, because %s.", streaming.why_not)
        return _only(pipeline.postprocess(sample, reference), region)
    sample[PRED] = _as_monai_has_it(sample, pipeline, streaming)
    return _only(pipeline.postprocess(sample, reference, steps=Compose(streaming.recipe.rest)), region)


def _room(
    pipeline: Pipeline, batch: Data, reference: Volume, network: object, inferer: Any
) -> AbstractContextManager[None]:
    """The check that the whole output fits; none where the input is no image."""
    image = batch.get(pipeline.image_key(batch))
    if not isinstance(image, torch.Tensor) or not isinstance(inferer, SlidingWindowInferer):
        return nullcontext()
    called = pipeline.network if network is None else network
    place = merging_device(inferer, image, torch.device(pipeline.device))
    return room_for_output(called, image.shape[2:], reference.shape, pipeline.postprocessing, place)


def why_not(pipeline: Pipeline, batch: Data) -> str:
    """Why this bundle's labels cannot be streamed for this image; empty when they can, as far as can be told before."""
    try:
        _plan(pipeline, batch, pipeline.inferer)
    except NotStreamableError as reason:
        return str(reason)
    return ""


def count(
    pipeline: Pipeline,
    batch: Data,
    reference: Volume,
    *,
    inferer: Any = None,
    region: Region | None = None,
) -> int:
    """How many windows `predict`, given the same, will report; 0 when it cannot be told."""
    own = inferer or pipeline.inferer
    try:
        streaming = _plan(pipeline, batch, own)
        windows = windows_of(own, batch[pipeline.image_key(batch)])
    except NotStreamableError:
        return pipeline.count_windows(batch, inferer=own)
    if region is None or not streaming.recipe.local:
        return len(windows.starts)
    spans = _box(region, reference, streaming.grid)
    reach = {axis.source: axis.part(*span).reach() for axis, span in zip(streaming.grid.axes, spans, strict=True)}
    if any(start == stop for start, stop in reach.values()):
        return 1  # the one that tells how many labels there are
    return len(windows.touching(tuple(reach[axis] for axis in sorted(reach))))


def _plan(pipeline: Pipeline, batch: Data, own: Any) -> StreamingInferer:
    check_inferer(own)
    recipe = read(pipeline.postprocessing, lambda key: key not in batch)
    image = batch.get(pipeline.image_key(batch))
    if not isinstance(image, torch.Tensor) or image.ndim not in (4, 5) or len(image) != 1:
        raise NotStreamableError("its image is not a single one with two or three axes")
    shape = tuple(int(n) for n in image.shape[2:])
    source = _source(recipe, batch, image)
    affine = source.affine if isinstance(source, MetaTensor) else torch.eye(len(shape) + 1)
    grid = GridMap.identity(shape, to_affine_nd(len(shape), affine.cpu().numpy().astype(np.float64)))
    if recipe.invert is not None:
        grid = inverted(recipe.invert, source, grid)
    return StreamingInferer(own, recipe, shape, grid, [(0, n) for n in grid.shape])


def _source(recipe: Recipe, batch: Data, image: torch.Tensor) -> torch.Tensor:
    """The image, without its batch axis, whose record tells where the labels lie."""
    if recipe.invert is not None:
        image = batch.get(recipe.invert.source)
        if not isinstance(image, MetaTensor):
            raise NotStreamableError("its image lost the record of its preprocessing")
    # A look at the record only: what is in the batch stays as it is.
    return Decollated(keys=None, detach=True)({PRED: image})[0][PRED]  # type: ignore[no-any-return]


def _as_monai_has_it(sample: Data, pipeline: Pipeline, streaming: StreamingInferer) -> torch.Tensor:
    """The labels as MONAI would hand them to the next step."""
    labels = sample[PRED].to(streaming.recipe.dtype)
    invert = streaming.recipe.invert
    image = sample[pipeline.image_key(sample)] if invert is None else sample[invert.source]
    if not isinstance(image, MetaTensor):
        return labels
    record = deepcopy(image.applied_operations) if invert is None else []
    found = MetaTensor(labels, meta=deepcopy(image.meta), applied_operations=record)
    if invert is not None:
        found.affine = torch.from_numpy(streaming.grid.affine)
    return found


def _box(region: Region, reference: Volume, grid: GridMap) -> list[tuple[int, int]]:
    """The labels' voxels that lie nearest to a region of `reference`, start and stop along each axis."""
    affine: Affine = to_affine_nd(3, grid.affine)
    k, j, i = (range(*part.indices(n)) for part, n in zip(region, reference.shape, strict=True))
    if not (k and j and i):
        return [(0, 0)] * len(grid.axes)
    ends = [[axis[0], axis[-1]] for axis in (i, j, k)]
    corners = np.array(np.meshgrid(*ends, indexing="ij"), dtype=np.float64).reshape(3, -1).T
    places = apply_affine(np.linalg.inv(affine) @ reference.affine, corners)
    # Half a voxel is as far as the nearest can be; the rest is rounding.
    low, high = np.ceil(places.min(axis=0) - 0.51), np.floor(places.max(axis=0) + 0.51)
    return [(int(np.clip(low[n], 0, size)), int(np.clip(high[n] + 1, 0, size))) for n, size in enumerate(grid.shape)]


def _only(prediction: Prediction, region: Region | None) -> Prediction:
    if region is None:
        return prediction
    array = np.zeros_like(prediction.array)
    inside = (..., *region)
    array[inside] = prediction.array[inside]
    return replace(prediction, array=array)
