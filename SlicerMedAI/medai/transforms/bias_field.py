"""Correction of the slow change of brightness over an MR image."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import convert_to_dst_type
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_LARGEST = 40
"""Voxels along an axis of the image that the field is found in: it changes slowly, and a whole head takes minutes."""
_FEWEST = 64
"""Voxels of the object, below which there is nothing that a field could be told from."""


class CorrectBiasFieldd(MapTransform):  # type: ignore[misc]
    """Divides images by their bias field, found by N4 (Tustison et al., IEEE TMI 2010; SimpleITK's).

    The field is found in a smaller image, within the object (Otsu's threshold), and applied to the image itself.
    Each channel has a field of its own. An image without an object, such as a constant one, stays as it is.

    Parameters
    ----------
    keys : str or sequence of str
        Images of shape (C, i, j[, k]).
    iterations : sequence of int
        At most so many steps at each level of detail; every level has twice the detail of the one before.
    allow_missing_keys : bool
    """

    def __init__(
        self, keys: KeysCollection, *, iterations: Sequence[int] = (50, 50, 50), allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.iterations = tuple(int(n) for n in iterations)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The same images on the same grids, as float32."""
        done = dict(data)
        for key in self.key_iterator(done):
            image = done[key]
            spacing = image.pixdim.tolist() if isinstance(image, MetaTensor) else [1.0] * (image.ndim - 1)
            channels = np.asarray(torch.as_tensor(image).detach().cpu(), dtype=np.float32)
            corrected = np.stack([without_bias(each, spacing, self.iterations) for each in channels])
            done[key] = convert_to_dst_type(corrected, image, dtype=np.float32)[0]
        return done


def without_bias(values: Floats, spacing: Sequence[float], iterations: Sequence[int]) -> Floats:
    """One channel, corrected.

    Parameters
    ----------
    values : ndarray, shape (i, j[, k])
        Negative values, which interpolation may leave, are lifted above 0 for the correction.
    spacing : sequence of float
        mm along each axis.
    iterations : sequence of int
    """
    finite = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    thick = [axis for axis, n in enumerate(finite.shape) if n > 1]
    low, high = float(finite.min()), float(finite.max())
    if low == high or len(thick) < 2:
        return values
    lift = min(low, 0.0)
    image = sitk.GetImageFromArray(np.squeeze(finite - lift))
    image.SetSpacing([float(spacing[axis]) for axis in reversed(thick)])
    small = sitk.BinShrink(image, [math.ceil(n / _LARGEST) for n in image.GetSize()])
    try:
        mask = sitk.OtsuThreshold(small, 0, 1, 200)
        if np.count_nonzero(sitk.GetArrayViewFromImage(mask)) < _FEWEST:
            return values
        corrector = sitk.N4BiasFieldCorrectionImageFilter()
        corrector.SetMaximumNumberOfIterations([int(n) for n in iterations])
        corrector.Execute(small, mask)
        field = np.exp(sitk.GetArrayFromImage(corrector.GetLogBiasFieldAsImage(image))).reshape(values.shape)
    except RuntimeError:  # too few voxels along an axis, or too few values, for a field to be fitted
        return values
    corrected = (finite - lift) / field + lift
    return corrected.astype(np.float32) if np.isfinite(corrected).all() else values
