"""One image, its code, and what the code stands for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from medai.bundles.description import Description
from medai.engine.inputs import check_contrast, fit_inputs
from medai.engine.ladder import Ladder
from medai.engine.like import exact, like
from medai.errors import InputError
from medai.tasks.encode.coding import Coded, coded
from medai.tasks.encode.features import features
from medai.tasks.encode.parameters import EncodeParameters
from medai.tasks.life import Life, Part
from medai.training.evaluation.restoration import restoration_metrics
from medai.volume import Volume, crop


@dataclass(frozen=True, eq=False)
class Encoded:
    """What is known of one image.

    Parameters
    ----------
    name : str
        Of the image.
    code : ndarray of float32
        All of it; slices that were encoded one by one are its first axis.
    names : tuple of str
        Of `features`.
    features : ndarray of float32, shape (F,)
        What images of any size are compared by.
    compression : float
        Numbers in the image for each one in the code.
    psnr_db, ssim : float
        Of the reconstruction; the data range is from the 0.5 to the 99.5 percentile of the image.
    reconstruction : Volume
        On the image's grid and of its type.
    anomaly : Volume
        How far it is from the image, in the image's unit.
    """

    name: str
    code: NDArray[np.float32]
    names: tuple[str, ...]
    features: NDArray[np.float32]
    compression: float
    psnr_db: float
    ssim: float
    reconstruction: Volume
    anomaly: Volume


class OneImage:
    """A loaded model at work for one job.

    Parameters
    ----------
    life : Life
        Of the job.
    parameters : EncodeParameters
        What was asked.
    description : Description
        The model.
    ladder : Ladder
        Runs its autoencoder within the memory there is.
    """

    def __init__(self, life: Life, parameters: EncodeParameters, description: Description, ladder: Ladder) -> None:
        self.life = life
        self.parameters = parameters
        self.description = description
        self.ladder = ladder

    def encoded(self, images: tuple[Volume, ...], part: Part) -> Encoded:
        """The code of an image, and how well it describes it.

        Raises
        ------
        InputError
            When there is more than one image, nothing to see in it, or the model takes another number of channels.
        """
        if len(images) != 1:
            raise InputError(
                "Every image is encoded for itself.", f"{len(images)} were given at once.", "Encode them one by one."
            )
        (image,) = fit_inputs(images, self.description.channels, self.life.tell)
        for region in self.parameters.regions:
            image = crop(image, region.slices(image))
        check_contrast(image)
        parts, values = self._coded(image, part)
        names, described = features(parts)
        code = parts[0].code if len(parts) == 1 else np.stack([one.code for one in parts])
        made = like(values, image, f"{image.name} reconstruction")
        difference = np.abs(exact(image.array) - exact(made.array)).astype(np.float32)
        psnr_db, ssim = _likeness(image, made)
        return Encoded(
            image.name,
            code,
            names,
            described,
            image.array.size / code.size,
            psnr_db,
            ssim,
            made,
            Volume(difference, image.affine, f"{image.name} anomaly", image.modality),
        )

    def _coded(self, image: Volume, part: Part) -> tuple[list[Coded], NDArray[np.floating]]:
        depth = image.shape[0]
        if not self.ladder.pipeline.planar or depth == 1:
            found = self._one(image, part)
            return [found], found.reconstruction
        self.life.tell(f"This model works on single slices; the {depth} slices were encoded one by one.")
        rows, columns = slice(0, image.shape[1]), slice(0, image.shape[2])
        values = exact(image.array)
        parts: dict[int, Coded] = {}
        for k in range(depth):
            one = crop(image, (slice(k, k + 1), rows, columns))
            if one.array.min() < one.array.max():
                parts[k] = self._one(one, part.of(k, depth))
                values[k : k + 1] = parts[k].reconstruction
        if len(parts) < depth:
            empty = depth - len(parts)
            self.life.tell(f"{empty} of the {depth} slices of '{image.name}' hold nothing; they have no code.")
        return list(parts.values()), values

    def _one(self, image: Volume, part: Part) -> Coded:
        self.life.at("Preparing" if part.index == 0 else self.life.working, part.index, part.count)
        found = coded(self.ladder, image, partial(self.life.at_window, part))
        self.life.at("Finishing" if part.index + 1 == part.count else self.life.working, part.index + 1, part.count)
        return found


def _likeness(image: Volume, made: Volume) -> tuple[float, float]:
    """PSNR and SSIM, of several channels their means."""
    low, high = np.percentile(exact(image.array), (0.5, 99.5))
    if low == high:
        low, high = image.array.min(), image.array.max()
    pairs = zip(_channels(image), _channels(made), strict=True)
    scores = [restoration_metrics(a, b, (float(low), float(high))) for a, b in pairs]
    return float(np.mean([s["psnr_db"] for s in scores])), float(np.mean([s["ssim"] for s in scores]))


def _channels(image: Volume) -> list[NDArray[np.generic]]:
    return [image.array] if image.array.ndim == 3 else list(np.moveaxis(image.array, -1, 0))
