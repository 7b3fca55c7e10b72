"""Maps of what speaks for a finding, on the grid of the image that a person sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.data.utils import to_affine_nd
from numpy.typing import NDArray

from medai.bundles.explained import explained
from medai.bundles.postprocessing import PRED
from medai.engine.like import onto
from medai.tasks.classify.one_model import OneModel
from medai.tasks.classify.views import View
from medai.tasks.explain.grad_cam import GradCAMInferer
from medai.tasks.explain.occlusion import OcclusionInferer
from medai.tasks.life import Part
from medai.volume import Affine, Volume

Floats = NDArray[np.floating[Any]]

_REMEDY = "Explain it by occlusion, or by another layer of the network."
_TITLES = {"grad_cam": "Grad-CAM", "grad_cam_pp": "Grad-CAM++", "occlusion": "occlusion"}


@dataclass(frozen=True)
class Asked:
    """What is to be explained, and how.

    Parameters
    ----------
    target : int
        Number of the class.
    name : str
        Of the class.
    method, layer, steps
        As in `ExplainParameters`.
    """

    target: int
    name: str
    method: str
    layer: str | None = None
    steps: int | None = None


def relevance(model: OneModel, image: Volume, views: Sequence[View], asked: Asked, part: Part) -> Volume:
    """What in the image speaks for a class.

    Parameters
    ----------
    model : OneModel
        The classifier.
    image : Volume
        The whole image.
    views : sequence of View
        The parts of it that were classified; elsewhere the map is 0.
    asked : Asked
        What is to be explained.
    part : Part
        Of the job.

    Returns
    -------
    Volume
        On exactly the image's grid, float32, 0 to 1: 1 where most speaks for it in any of the views.
    """
    found = np.zeros(image.shape, np.float32)
    for n, view in enumerate(views):
        own = part.of(n, len(views))
        model.life.at(model.life.working, own.index, own.count)
        there = found[view.block]
        np.maximum(there, _of_view(model, view, asked, own), out=there)
    highest = float(found.max())
    if highest > 0:
        found /= highest
    else:
        model.life.tell(f"Nothing in '{image.name}' speaks for {asked.name}, so its map is empty.")
    return Volume(found, image.affine, f"{image.name} {asked.name} {_TITLES[asked.method]}")


def _of_view(model: OneModel, view: View, asked: Asked, part: Part) -> Floats:
    ladder, life = model.ladder, model.life
    total = 1

    def on_window(done: int, _total: int) -> None:
        life.at_window(part, done, total)

    def compute() -> Volume:
        nonlocal total
        pipeline = ladder.pipeline
        batch = ladder.preprocessed(view.images)
        seen = batch[pipeline.image_key(batch)]
        inferer: GradCAMInferer | OcclusionInferer
        with explained("The model cannot be explained.", model.description.title, pipeline.device, remedy=_REMEDY):
            if asked.method == "occlusion":
                inferer = OcclusionInferer(asked.target, exclusive=model.exclusive, steps=asked.steps)
                total = inferer.count(seen.shape[2:])
                sample = ladder.infer(batch, on_window, inferer=inferer)
            else:
                own, better = pipeline.network, asked.method == "grad_cam_pp"
                inferer = GradCAMInferer(
                    own, asked.target, exclusive=model.exclusive, plus_plus=better, layer=asked.layer
                )
                sample = ladder.infer(batch, on_window, network=own, inferer=inferer)
                life.tell(f"Explained by the network's layer '{inferer.layer}'.")
        return _placed(sample[PRED], seen, view.images[0])

    return onto(ladder.run(compute), view.images[0])


def _placed(values: torch.Tensor, seen: torch.Tensor, view: Volume) -> Volume:
    """A map of the network's input as an image in the patient.

    Parameters
    ----------
    values : Tensor, shape (1, *spatial)
        The map, whose axes are i, j[, k] of the preprocessed image.
    seen : Tensor, shape (1, C, *spatial)
        The preprocessed image, which knows where it is.
    view : Volume
        What it was made from.
    """
    array = values[0].detach().cpu().float().numpy().T
    array = np.ascontiguousarray(array if array.ndim == 3 else array[np.newaxis])
    if isinstance(seen, MetaTensor):
        affine: Affine = to_affine_nd(3, np.asarray(seen.affine.cpu().squeeze(0), dtype=np.float64))
        return Volume(array, affine, view.name)
    # Nothing is known but that the whole of the view was looked at.
    scale = np.array(view.shape[::-1]) / np.array(array.shape[::-1])
    stretch = np.diag([*scale, 1.0])
    stretch[:3, 3] = (scale - 1) / 2
    return Volume(array, view.affine @ stretch, view.name)
