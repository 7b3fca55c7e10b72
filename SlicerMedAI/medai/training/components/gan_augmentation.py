"""Random changes to real and made-up cases alike, through which gradients flow: few cases then go a long way.

Zhao et al., Differentiable Augmentation for Data-Efficient GAN Training, NeurIPS 2020: changing the real cases alone
would teach the generator to make changed ones. The discriminator sees both changed, so it cannot learn the cases by
heart, and the generator never sees a change.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

_BRIGHTER, _MORE_CONTRAST = 0.5, 0.5  # of a range from -1 to 1, and of the deviation from the mean; as the paper has it
_SHARE_MOVED, _SHARE_CUT = 1 / 8, 1 / 2  # of an edge; as the paper has it


class DifferentiableAugmentation:
    """Brightness and contrast of the image; a move and a hole of image and label together.

    Parameters
    ----------
    channels : int
        Of the image.
    fixed : int
        Last channels that stay as they are: those of the class.
    share : float
        How often each of the three is done. Below 1, the discriminator also learns where things are, how bright, and
        that the whole is there (Karras et al., NeurIPS 2020): else nothing keeps a generator from always making the
        same of it.
    """

    def __init__(self, channels: int, fixed: int = 0, share: float = 1.0) -> None:
        self.channels, self.fixed, self.share = channels, fixed, share

    def __call__(self, cases: Tensor) -> Tensor:
        """The cases (B, C, ...), each changed by random numbers of its own."""
        seen = cases.shape[1] - self.fixed
        image, labels = cases[:, : self.channels], cases[:, self.channels : seen]
        found = torch.cat((self._sometimes(self._lit(image), image), labels), dim=1)
        found = self._sometimes(torch.stack([self._moved(case) for case in found]), found)
        found = self._sometimes(found * self._hole(found), found)
        return torch.cat((found, cases[:, seen:]), dim=1)

    def _sometimes(self, changed: Tensor, cases: Tensor) -> Tensor:
        done = torch.rand(len(cases), *[1] * (cases.ndim - 1)) < self.share
        return torch.where(done.to(cases.device), changed, cases)

    def _lit(self, image: Tensor) -> Tensor:
        one_each = (len(image), *[1] * (image.ndim - 1))
        brighter, stretch = (torch.rand(one_each).to(image) * 2 - 1 for _ in range(2))
        mean = image.mean(dim=tuple(range(1, image.ndim)), keepdim=True)
        return (image - mean) * (1 + _MORE_CONTRAST * stretch) + mean + _BRIGHTER * brighter

    def _moved(self, case: Tensor) -> Tensor:
        """One case (C, ...) moved by whole voxels; what comes in is empty."""
        edges = case.shape[1:]
        reach = [round(edge * _SHARE_MOVED) for edge in edges]
        starts = [int(torch.randint(0, 2 * most + 1, ())) for most in reach]
        wide = pad(case, [most for most in reversed(reach) for _ in range(2)])
        part = (slice(None), *(slice(start, start + edge) for start, edge in zip(starts, edges, strict=True)))
        return wide[part]

    def _hole(self, cases: Tensor) -> Tensor:
        """0 in a random block of half the edges of each case, 1 around it; shape (B, 1, ...)."""
        kept = torch.ones(len(cases), 1, *cases.shape[2:], device=cases.device)
        for case in kept:
            block = [slice(None)]
            for edge in cases.shape[2:]:
                half = round(edge * _SHARE_CUT)
                middle = int(torch.randint(0, edge + (1 - half % 2), ()))
                block.append(slice(max(middle - half // 2, 0), middle + half - half // 2))
            case[tuple(block)] = 0
        return kept
