"""Real images as a generator would make them, so that both can be compared voxel by voxel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from medai.errors import InputError
from medai.volume import Volume


@dataclass(frozen=True)
class Frame:
    """The grid of a generator's images, and values from 0 to 1.

    Parameters
    ----------
    size : tuple of int
        Voxels to the patient's right, front and head; of a picture its columns and rows, and 1.
    spacing : tuple of float
        mm between them.
    """

    size: tuple[int, int, int]
    spacing: tuple[float, float, float]

    @classmethod
    def of(cls, image: Volume) -> Frame:
        """From a generator's image.

        Raises
        ------
        InputError
            When it has several channels.
        """
        if image.channels > 1:
            raise InputError(
                "The generator cannot be evaluated.",
                f"Its images have {image.channels} channels.",
                "Use a model that makes grey images.",
            )
        if image.shape[0] == 1:
            return cls((image.shape[2], image.shape[1], 1), image.spacing)
        turned = _turned(image)
        spacing = np.linalg.norm(np.asarray(turned.affine)[:3, :3], axis=0)
        return cls(tuple(turned.shape[1:]), (float(spacing[0]), float(spacing[1]), float(spacing[2])))

    def __call__(self, image: Volume) -> Volume:
        """An image, real or synthetic, in this frame.

        As in the training of a generator: volumes are put on axes of the patient and the generator's spacing, and cut
        or filled with 0 around their middle; pictures are brought to the generator's size, to a square one with their
        proportions. Then 0 is the 0.5 and 1 the 99.5 percentile of each image itself.

        Raises
        ------
        InputError
            When it has several channels, or is a picture where volumes are made or the other way round.
        """
        from monai.transforms import ResizeWithPadOrCrop, ScaleIntensityRangePercentiles, Spacing

        planar = self.size[2] == 1
        if image.channels > 1 or planar != (image.shape[0] == 1):
            kind = "grey picture" if planar else "grey volume"
            raise InputError(
                "The generator cannot be evaluated on these data.",
                f"It makes {kind}s, and '{image.name}' is none.",
                "Give images like those that the model was trained on.",
            )
        if planar:
            placed = self._picture(image)
        else:
            spaced = Spacing(self.spacing, mode="bilinear", padding_mode="border")(_turned(image))
            placed = ResizeWithPadOrCrop(self.size)(spaced)
        found = ScaleIntensityRangePercentiles(0.5, 99.5, 0.0, 1.0, clip=True)(placed)
        found = found[..., None] if planar else found
        values = np.ascontiguousarray(np.asarray(found[0]).T, dtype=np.float32)
        return Volume(values, np.diag([*self.spacing, 1.0]), image.name, image.modality)

    def _picture(self, image: Volume) -> Any:
        from monai.transforms import Resize, ResizeWithPadOrCrop

        pixels = np.ascontiguousarray(image.array[0].T, dtype=np.float32)[None]
        size = self.size[:2]
        if size[0] != size[1]:
            return Resize(size, mode="bilinear", anti_aliasing=True)(pixels)
        share = min(want / have for want, have in zip(size, pixels.shape[1:], strict=True))
        inner = [min(want, max(1, round(share * have))) for want, have in zip(size, pixels.shape[1:], strict=True)]
        small = (
            Resize(inner, mode="bilinear", anti_aliasing=True)(pixels) if inner != list(pixels.shape[1:]) else pixels
        )
        return ResizeWithPadOrCrop(size)(small)


def _turned(image: Volume) -> Any:
    """As MONAI has images, axes to the patient's right, front and head."""
    from monai.data import MetaTensor
    from monai.transforms import Orientation

    array = np.ascontiguousarray(image.array.T, dtype=np.float32)[None]
    affine = np.array(image.affine)
    return Orientation("RAS", labels=None)(MetaTensor(array, affine=affine))
