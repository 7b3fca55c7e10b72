"""Noise of computed tomography at a low dose, simulated in the image.

An X-ray image counts photons: the fewer arrive, the noisier the line. Where lines through thick or dense parts meet,
the reconstructed image is noisier, and filtered backprojection leaves the noise correlated within a slice, with a power
that rises with frequency up to the kernel's end. Both are imitated here in the image itself, as by Divel and Pelc,
Accurate image domain noise insertion in CT images, IEEE Trans Med Imaging 39 (2020) 1906, which spares a
reconstruction. Rician and Gaussian noise are MONAI's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable, RandomizableTransform, Transform
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

_WATER_PER_MM = 0.0193  # linear attenuation at 70 keV, about the mean energy of 120 kVp
_VIEWS = 16
_TISSUE_HU = -500.0
_FINEST = 64  # voxels along the edge of a slice
_LONGEST = 9.0  # of a line integral; no scanner gets an image out of fewer photons
_CUTOFFS = (0.25, 0.8)  # cycles per voxel: from smooth to sharp kernels


def quantum_noise_map(hu: Tensor, spacing: Sequence[float], *, views: int = _VIEWS) -> Tensor:
    """How noisy each voxel is in relation to the others, when every line sends the same number of photons.

    The variance is the mean, over all views, of the inverse number of photons that the line through the voxel leaves.

    Parameters
    ----------
    hu : Tensor, shape (I, J) or (I, J, K)
        Slices in Hounsfield units; K counts them along the table.
    spacing : sequence of float
        mm from row to row and from column to column.
    views : int
        Directions, evenly over half a turn.

    Returns
    -------
    Tensor, same shape
        Standard deviations; the median in tissue (above -500 HU; in everything, where there is none) is 1.
    """
    whole = hu.reshape(*hu.shape[:2], -1).float()
    # What a line adds up is smooth from voxel to voxel, so every few voxels are enough.
    step = max(1, math.ceil(max(whole.shape[:2]) / _FINEST))
    slices = functional.avg_pool2d(whole.movedim(-1, 0)[:, None], step, ceil_mode=True)[:, 0].movedim(0, -1)
    spacing = [float(mm) * step for mm in spacing[:2]]
    weights = slices.add(1000).clamp(min=0).mul(_WATER_PER_MM / 1000).flatten(0, 1)
    width, height = slices.shape[:2]
    x = (torch.arange(width) - (width - 1) / 2)[:, None] * spacing[0]
    y = (torch.arange(height) - (height - 1) / 2)[None, :] * spacing[1]
    bin_mm = max(spacing)
    reach = math.ceil(math.hypot(float(x.max()), float(y.max())) / bin_mm) + 1
    variance = torch.zeros_like(weights)
    for angle in np.arange(views) * math.pi / views:
        place = ((x * math.cos(angle) + y * math.sin(angle)) / bin_mm + reach).flatten()
        below = place.floor().long()
        share = (place - below)[:, None]
        lines = torch.zeros(2 * reach + 2, weights.shape[1])
        lines.index_add_(0, below, weights * (1 - share)).index_add_(0, below + 1, weights * share)
        lines *= spacing[0] * spacing[1] / bin_mm
        photons_lost = lines.clamp(max=_LONGEST).exp()
        variance += photons_lost[below] * (1 - share) + photons_lost[below + 1] * share
    coarse = variance.sqrt().reshape(slices.shape).movedim(-1, 0)[:, None]
    large = functional.interpolate(coarse, scale_factor=step, mode="bilinear", align_corners=False)
    spread = large[:, 0, : whole.shape[0], : whole.shape[1]].movedim(0, -1)
    tissue = spread[whole > _TISSUE_HU]
    return (spread / (tissue if tissue.numel() else spread).median()).reshape(hu.shape)


def slice_noise(shape: Sequence[int], random: np.random.RandomState, *, cutoff: float, white: float) -> Tensor:
    """Noise of variance 1, correlated within each slice as a backprojection's, independent from slice to slice.

    Parameters
    ----------
    shape : sequence of int
        (I, J) or (I, J, K).
    random : numpy.random.RandomState
    cutoff : float
        Cycles per voxel at which the kernel has fallen to 1/e: the power is ``f exp(-2 (f / cutoff)^2)``.
    white : float
        Share of the variance that is not correlated: the electronics' noise.
    """
    fx, fy = np.meshgrid(np.fft.fftfreq(shape[0]), np.fft.rfftfreq(shape[1]), indexing="ij")
    frequency = np.hypot(fx, fy)
    gain = np.sqrt(frequency) * np.exp(-((frequency / cutoff) ** 2))
    # Of a real transform all columns but the first (and, for an even width, the last) stand for two frequencies.
    twice = np.where((fy == 0) | (fy == 0.5), 1.0, 2.0)
    gain /= math.sqrt(float((twice * gain**2).sum()) / (shape[0] * shape[1]))
    spectrum = np.fft.rfft2(random.standard_normal(shape), axes=(0, 1))
    found = np.fft.irfft2(spectrum * gain.reshape(*gain.shape, *(1,) * (len(shape) - 2)), s=shape[:2], axes=(0, 1))
    grains = random.standard_normal(shape)
    mixed: NDArray[np.float64] = math.sqrt(1 - white) * found + math.sqrt(white) * grains
    return torch.from_numpy(mixed.astype(np.float32))


class QuantumNoiseMapd(MapTransform):  # type: ignore[misc]
    """Adds the `quantum_noise_map` of an image, for `RandLowDoseCTd`; it is the same in every epoch.

    Parameters
    ----------
    keys : str
        One image, shape (C, I, J) or (C, I, J, K), the last axis along the table.
    window : (float, float)
        Hounsfield units of the image's values 0 and 1.
    name : str
        Key of the map.
    """

    def __init__(self, keys: KeysCollection, window: Sequence[float] = (-1000.0, 1000.0), name: str = "spread") -> None:
        super().__init__(keys)
        self.low, self.high = window
        self.name = name

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The case with its map."""
        image = data[self.first_key(dict(data))]
        spacing = getattr(image, "pixdim", torch.ones(image.ndim - 1))
        plain = torch.as_tensor(np.asarray(image)) * (self.high - self.low) + self.low
        maps = torch.stack([quantum_noise_map(channel, [float(mm) for mm in spacing[:2]]) for channel in plain])
        return {**data, self.name: maps}


class RandLowDoseCTd(RandomizableTransform, MapTransform):  # type: ignore[misc]
    """Adds the noise of a low dose, with a random kernel.

    Parameters
    ----------
    keys : str
        Image, shape (C, I, J) or (C, I, J, K), the last axis along the table.
    std : float
        Standard deviation in the middle of the tissue, in the image's own scale.
    name : str
        Key of the `QuantumNoiseMapd`; it is taken out of the case.
    """

    def __init__(self, keys: KeysCollection, std: float, name: str = "spread") -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, 1.0)
        self.std, self.name = std, name

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The case with noise on its image, and without the map."""
        done = dict(data)
        spread = torch.as_tensor(np.asarray(done.pop(self.name)))
        for key in self.key_iterator(done):
            image = done[key]
            cutoff, white = self.R.uniform(*_CUTOFFS), self.R.uniform()
            noise = [slice_noise(image.shape[1:], self.R, cutoff=cutoff, white=white) for _ in image]
            done[key] = image + torch.stack(noise) * spread * self.std
        return done


class RandStrengthd(Randomizable, Transform):  # type: ignore[misc]
    """Adds noise of a random strength, of which every doubling is as likely.

    What is drawn evenly instead is seldom weak: a network then learns little of the noise that images mostly have.

    Parameters
    ----------
    noise : callable
        Makes the transform that adds the noise from its ``std``, such as ``partial(RandRicianNoised, "image")``.
    weakest, strongest : float
        Standard deviations in the image's own scale.
    """

    def __init__(self, noise: Callable[..., Randomizable], weakest: float, strongest: float) -> None:
        self.noise, self.weakest, self.strongest = noise, weakest, strongest

    def __call__(self, data: Mapping[Hashable, Any]) -> Any:
        """The case with noise on its image."""
        std = math.exp(self.R.uniform(math.log(self.weakest), math.log(self.strongest)))
        return self.noise(std=std).set_random_state(state=self.R)(data)
