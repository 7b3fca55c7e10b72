"""One image without its noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medai.bundles.description import Description
from medai.engine.inputs import fit_inputs
from medai.engine.ladder import Ladder
from medai.engine.like import exact, like
from medai.engine.regions import inside
from medai.errors import InputError
from medai.tasks.denoise.bounds import within_neighbours
from medai.tasks.denoise.noise import noise_in
from medai.tasks.denoise.parameters import DenoiseParameters
from medai.tasks.life import Life, Part
from medai.volume import Volume, crop

Noise = NDArray[np.floating[Any]]
_RGBA = 4
_HU = (-1500, 4000)
"""Hounsfield units of air and of bone, with room for their noise."""


class OneImage:
    """A loaded model at work for one job.

    Parameters
    ----------
    life : Life
        Of the job.
    parameters : DenoiseParameters
        What was asked.
    description : Description
        The model.
    ladder : Ladder
        Runs it within the memory there is.
    """

    def __init__(self, life: Life, parameters: DenoiseParameters, description: Description, ladder: Ladder) -> None:
        self.life = life
        self.parameters = parameters
        self.description = description
        self.ladder = ladder

    def warn(self, image: Volume) -> None:
        """Say where what the model will see does not look like what it was made for."""
        for _, seen in self._groups(image):
            for warning in self.description.warnings((seen,)):
                self.life.tell(warning)

    def denoised(self, images: tuple[Volume, ...], part: Part) -> tuple[Volume, Volume]:
        """The image without its noise, in its own type, and the noise that was removed, in float.

        Parameters
        ----------
        images : tuple of Volume
            One.
        part : Part
            Of the job.

        Raises
        ------
        InputError
            When there is more than one image, or the model does not take as many channels.
        """
        if len(images) != 1:
            raise InputError(
                "Only one image can be denoised at a time.",
                f"{len(images)} were given.",
                "Denoise them one by one.",
            )
        image = self._finite(images[0])
        noise = np.zeros(image.array.shape, np.float32)
        groups = list(self._groups(image))
        for number, (components, seen) in enumerate(groups):
            plain = self._without_far_values(seen)
            found = self._noise(plain, part.of(number, len(groups)))
            noise[components] = found if plain is seen else np.where(plain.array == seen.array, found, 0)
        before = exact(image.array)
        noise = within_neighbours(before, noise)
        result = like(before - self.parameters.strength * noise, image, f"{image.name} denoised")
        removed = (before - exact(result.array)).astype(np.float32)
        return result, Volume(removed, image.affine, f"{image.name} noise", image.modality)

    def _finite(self, image: Volume) -> Volume:
        (finite,) = fit_inputs((image,), 0, self.life.tell)
        return finite

    def _without_far_values(self, image: Volume) -> Volume:
        """The image as the model sees it: it differs where it is to stay as it is, and is the same where nothing is.

        Metal and what surrounds a field of view are no tissue: beside such edges a model sees noise where none is.
        """
        low, high = _HU
        if self.description.modality != "CT" or low <= image.array.min() <= image.array.max() <= high:
            return image
        return replace(image, array=np.clip(image.array, low, high))

    def _groups(self, image: Volume) -> Iterator[tuple[tuple[Any, ...], Volume]]:
        """What the network takes at once: all components of a voxel, or one of them at a time."""
        takes, given = self.description.channels, image.channels
        if takes in (0, given):
            yield (...,), image
            return
        colours = given
        if given == _RGBA and image.array.dtype.kind == "u":
            self.life.tell(f"The transparency of '{image.name}' was left as it is.")
            colours = given - 1
        if takes == colours:
            yield (..., slice(colours)), replace(image, array=image.array[..., :colours])
            return
        if takes != 1:
            fit_inputs((image,), takes, self.life.tell)  # says what is wrong
        self.life.tell(f"The model takes one channel; the {colours} of '{image.name}' were denoised one by one.")
        for channel in range(colours):
            yield (..., channel), replace(image, array=image.array[..., channel])

    def _noise(self, image: Volume, part: Part) -> Noise:
        regions = self.parameters.regions
        if not regions:
            return self._noise_in_slices(image, part, None)
        noise = np.zeros(image.array.shape, np.float32)
        for number, region in enumerate(regions):
            block = region.slices(image)
            mask = inside(region, crop(image, block))
            found = self._noise_in_slices(image, part.of(number, len(regions)), block)
            noise[block][mask] = found[block][mask]
        return noise

    def _noise_in_slices(self, image: Volume, part: Part, block: tuple[slice, slice, slice] | None) -> Noise:
        depth = image.shape[0]
        if not self.ladder.pipeline.planar or depth == 1:
            return self._noise_in(image, part, block)
        self.life.tell(f"This model works on single slices; the {depth} slices were denoised one by one.")
        noise = np.zeros(image.array.shape, np.float32)
        wanted = range(depth)[block[0]] if block is not None else range(depth)
        rows, columns = slice(0, image.shape[1]), slice(0, image.shape[2])
        for number, k in enumerate(wanted):
            one = crop(image, (slice(k, k + 1), rows, columns))
            noise[k : k + 1] = self._noise_in(one, part.of(number, len(wanted)), None)
        return noise

    def _noise_in(self, image: Volume, part: Part, block: tuple[slice, slice, slice] | None) -> Noise:
        life = self.life
        if image.array.min() == image.array.max():
            life.tell(f"All voxels of '{image.name}', or of a slice of it, are the same; they were left as they are.")
            return np.zeros(image.array.shape, np.float32)
        life.at("Preparing" if part.index == 0 else life.working, part.index, part.count)
        noise = noise_in(self.ladder, image, lambda done, total: life.at_window(part, done, total), life.tell, block)
        life.at("Finishing" if part.index + 1 == part.count else life.working, part.index + 1, part.count)
        return noise
