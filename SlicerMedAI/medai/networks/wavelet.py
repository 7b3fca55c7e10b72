"""A network that sees an image as wavelet coefficients of small blocks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_SURROUNDINGS = 5  # blocks along each axis
# With these, coefficients of noise and of edges are of the size that weights usually begin for.
_COARSE, _GAIN = 0.5, 10.0


class WaveletBlocks(torch.nn.Module):  # type: ignore[misc]  # torch is not type-checked
    """Lets a network see 2 x 2 (x 2) neighbours as the Haar coefficients of one block, and answer in them.

    What the network sees has half as many places along every axis, so it is fast and sees far (Liu et al., Multi-level
    Wavelet-CNN, CVPR Workshops 2018). Of a block's mean it is told only how it differs from its surroundings: an image
    with something added everywhere gives the same answer, and one with every contrast twice as large, if the network
    has neither norms nor biases, an answer twice as large (Herbreteau et al., Normalization-Equivariant Neural Networks
    with Application to Image Denoising, NeurIPS 2023).

    Parameters
    ----------
    network : torch.nn.Module
        (B, C 2^d, *spatial / 2) in, coarse coefficients first; the same out, those of each channel together. d is
        `spatial_dims`.
    spatial_dims : int
        2 or 3.
    channels : int
        C, of the image.
    """

    def __init__(self, network: torch.nn.Module, spatial_dims: int, channels: int = 1) -> None:
        super().__init__()
        self.network, self.spatial_dims, self.channels = network, spatial_dims, channels
        self._split, self._join = (
            (functional.conv2d, functional.conv_transpose2d),
            (functional.conv3d, functional.conv_transpose3d),
        )[spatial_dims - 2]
        self._mean = (functional.avg_pool2d, functional.avg_pool3d)[spatial_dims - 2]
        one = torch.tensor([[1.0, 1.0], [1.0, -1.0]]) / 2**0.5
        every = one
        for _ in range(spatial_dims - 1):
            every = torch.kron(every, one)
        filters = every.reshape(-1, 1, *[2] * spatial_dims).repeat(channels, *[1] * (spatial_dims + 1))
        self.register_buffer("filters", filters, persistent=False)
        number = torch.arange(len(filters))
        self.register_buffer("means", number[number % len(every) == 0], persistent=False)
        self.register_buffer("details", number[number % len(every) > 0], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """What the network makes of the images.

        Parameters
        ----------
        images : Tensor, shape (B, C, *spatial)
            Of even sizes.
        """
        with torch.autocast(images.device.type, enabled=False):
            blocks = self._split(images.float(), self.filters, stride=2, groups=self.channels)
            means, details = blocks[:, self.means], blocks[:, self.details]
            wide = functional.pad(means, [_SURROUNDINGS // 2] * (2 * self.spatial_dims), mode="replicate")
            coarse = means - self._mean(wide, _SURROUNDINGS, stride=1)
            seen = torch.cat([_COARSE * coarse, details], 1) * _GAIN
        found = self.network(seen)
        with torch.autocast(images.device.type, enabled=False):
            return self._join(found.float() / _GAIN, self.filters, stride=2, groups=self.channels)
