"""What a model takes for noise in an image, at the image's own voxels and in its own intensities.

The image itself never goes through the model's grid. Where that is another one, resampling would cost detail even where
there is no noise; so only the difference is brought back that the network makes to the image as it saw it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from monai.inferers import SimpleInferer
from numpy.typing import NDArray

from medai.bundles.postprocessing import PRED
from medai.engine.blocks import box_around
from medai.engine.ladder import Ladder, OnWindow
from medai.engine.like import onto, scale_of
from medai.engine.regions import Block
from medai.errors import BundleError
from medai.volume import Volume, crop


def noise_in(
    ladder: Ladder, image: Volume, on_window: OnWindow, tell: Callable[[str], None], block: Block | None = None
) -> NDArray[np.floating[Any]]:
    """The image minus what the model makes of it.

    Parameters
    ----------
    ladder : Ladder
        Runs the model.
    image : Volume
        As many channels as the network takes; not constant.
    on_window : callable
        Hears of every window.
    tell : callable
        Hears of what a person should know.
    block : tuple of slice, or None
        Along (k, j, i): outside of it no noise is needed, so the network does not go there.

    Returns
    -------
    ndarray of float32, shape of ``image.array``

    Raises
    ------
    BundleError
        When the model gives no image that could be compared with what it saw.
    """
    seen, found = ladder.run(lambda: _seen_and_found(ladder, image, on_window, block))
    if seen.array.shape != found.array.shape:
        raise BundleError(
            "The model does not give the image back.",
            f"It makes {found.channels} channels of {seen.channels}.",
            "Choose a model for noise removal.",
        )
    taken = replace(seen, array=np.asarray(seen.array, np.float32) - np.asarray(found.array, np.float32))
    noise = onto(taken, image)
    slope, _ = scale_of(image, seen)
    if slope != 1:
        tell("The model gives images on a scale of its own; what it removed was brought back to the image's.")
        noise = noise * np.float32(slope)
    return noise.reshape(image.array.shape)


def _seen_and_found(ladder: Ladder, image: Volume, on_window: OnWindow, block: Block | None) -> tuple[Volume, Volume]:
    """The image as the network saw it, and what came out of the network, both with all that follows after it."""
    pipeline = ladder.pipeline
    batch = ladder.preprocessed((image,))
    untouched = pipeline.infer(batch, torch.nn.Identity(), inferer=SimpleInferer())
    box = None if block is None else box_around(ladder, batch, crop(image, block))
    if box is None:
        finished = ladder.infer(batch, on_window)
    else:
        key, inside = pipeline.image_key(batch), (..., *box)
        part = ladder.infer({**batch, key: batch[key][inside]}, on_window)[PRED]
        whole = untouched[PRED].clone()
        whole[inside] = part.to(whole)
        finished = {**untouched, PRED: whole}
    return pipeline.image(untouched, image.name), pipeline.image(finished, image.name)
