"""One image made into another, which was never measured."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from monai.inferers import SimpleInferer
from numpy.typing import NDArray

from medai.bundles.description import Description
from medai.bundles.pipeline import Data
from medai.bundles.postprocessing import PRED
from medai.engine.blocks import box_around
from medai.engine.inputs import check_contrast, fit_inputs
from medai.engine.ladder import Ladder, OnWindow
from medai.engine.like import onto
from medai.engine.regions import Block, inside
from medai.errors import InputError
from medai.tasks.life import Life, Part
from medai.tasks.translate.parameters import TranslateParameters
from medai.volume import SYNTHETIC, Volume, crop

Values = NDArray[np.float32]


class OneImage:
    """A loaded model at work for one job.

    Parameters
    ----------
    life : Life
        Of the job.
    parameters : TranslateParameters
        What was asked.
    description : Description
        The model.
    ladder : Ladder
        Runs it within the memory there is.
    """

    def __init__(self, life: Life, parameters: TranslateParameters, description: Description, ladder: Ladder) -> None:
        self.life = life
        self.parameters = parameters
        self.description = description
        self.ladder = ladder

    def translated(self, images: tuple[Volume, ...], part: Part) -> Volume:
        """What the model makes of an image, on its grid, as floats on the scale of the model's own images.

        Parameters
        ----------
        images : tuple of Volume
            One.
        part : Part
            Of the job.

        Raises
        ------
        InputError
            When there is more than one image, nothing to see in it, or the model takes another number of channels.
        """
        if len(images) != 1:
            raise InputError(
                "Only one image can be translated at a time.",
                f"{len(images)} were given.",
                "Translate them one by one.",
            )
        (image,) = fit_inputs(images, self.description.channels, self.life.tell)
        check_contrast(image)
        regions = self.parameters.regions
        if not regions:
            made = self._in_slices(image, part, None)
        else:
            self.life.tell("Outside of the region the result is 0.")
            made = np.zeros(0, np.float32)
            for number, region in enumerate(regions):
                block = region.slices(image)
                found = self._in_slices(image, part.of(number, len(regions)), block)
                made = made if made.size else np.zeros_like(found)
                mask = inside(region, crop(image, block))
                made[block][mask] = found[block][mask]
        modality = self.description.modality or image.modality
        return Volume(np.ascontiguousarray(made), image.affine, f"{image.name} synthetic", modality, notes=(SYNTHETIC,))

    def _in_slices(self, image: Volume, part: Part, block: Block | None) -> Values:
        depth = image.shape[0]
        if not self.ladder.pipeline.planar or depth == 1:
            return self._in_one(image, part, block)
        self.life.tell(f"This model works on single slices; the {depth} slices were translated one by one.")
        wanted = range(depth)[block[0]] if block is not None else range(depth)
        rows, columns = slice(0, image.shape[1]), slice(0, image.shape[2])
        made: Values | None = None
        for number, k in enumerate(wanted):
            one = crop(image, (slice(k, k + 1), rows, columns))
            if one.array.min() == one.array.max():
                self.life.tell(f"Slices of '{image.name}' that hold nothing are 0.")
                continue
            found = self._in_one(one, part.of(number, len(wanted)), None)
            made = np.zeros((depth, *found.shape[1:]), np.float32) if made is None else made
            made[k : k + 1] = found
        return np.zeros(image.shape, np.float32) if made is None else made

    def _in_one(self, image: Volume, part: Part, block: Block | None) -> Values:
        life = self.life
        life.at("Preparing" if part.index == 0 else life.working, part.index, part.count)
        on_window = partial(life.at_window, part)
        found = self.ladder.run(lambda: self._made(image, on_window, block))
        life.at("Finishing" if part.index + 1 == part.count else life.working, part.index + 1, part.count)
        return np.asarray(onto(found, image), dtype=np.float32)

    def _made(self, image: Volume, on_window: OnWindow, block: Block | None) -> Volume:
        pipeline = self.ladder.pipeline
        batch = self.ladder.preprocessed((image,))
        box = None if block is None else box_around(self.ladder, batch, crop(image, block))
        done = self.ladder.infer(batch, on_window) if box is None else self._made_in(batch, box, on_window)
        return pipeline.image(done, image.name)

    def _made_in(self, batch: Data, box: tuple[slice, ...], on_window: OnWindow) -> Data:
        """What comes out of the network where it is needed, and zeros around it."""
        pipeline = self.ladder.pipeline
        key, within = pipeline.image_key(batch), (..., *box)
        part = self.ladder.infer({**batch, key: batch[key][within]}, on_window)[PRED]
        untouched = pipeline.infer(batch, torch.nn.Identity(), inferer=SimpleInferer())
        seen = untouched[PRED]
        whole = torch.zeros_like(seen[:, :1]).repeat_interleave(part.shape[1], dim=1)
        whole[within] = part.to(whole)
        return {**untouched, PRED: whole}
