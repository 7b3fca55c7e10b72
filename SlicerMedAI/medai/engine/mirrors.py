"""Test-time augmentation by mirroring: the same network on the image as a mirror shows it.

Mirroring is exact on a grid, so it costs no interpolation; nnU-Net (Isensee et al., Nature Methods 2021) does the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Any

import numpy as np
import torch

from medai.result import Segment
from medai.volume import Affine

Axes = tuple[int, ...]
"""Spatial axes of a network's input, 0 for the first behind batch and channel."""
Mirrors = tuple[Axes, ...]
"""Several mirrors of one image; ``()`` is the image as it is."""


def mirrors(spatial: Iterable[int]) -> Mirrors:
    """Every combination of these axes, the image as it is first: eight for three axes, four for two."""
    axes = tuple(spatial)
    return tuple(chosen for n in range(len(axes) + 1) for chosen in combinations(axes, n))


def tells_sides_apart(segments: Iterable[Segment]) -> bool:
    """Whether a model's structures have a side, so that a left-right mirror would exchange them."""
    for segment in segments:
        words = segment.name.casefold().replace("_", " ").replace("-", " ").split()
        if segment.modifier is not None and segment.modifier.value in ("7771000", "24028007"):
            return True
        if {"left", "right", "l", "r", "lt", "rt"} & set(words):
            return True
    return False


def left_right_axis(affine: Affine) -> int:
    """The voxel axis that runs most nearly between left and right.

    Parameters
    ----------
    affine : ndarray, shape (4, 4)
        (i, j, k) to RAS mm.
    """
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return int(np.abs(directions[0]).argmax())


class Mirrored(torch.nn.Module):  # type: ignore[misc]  # torch is not type-checked
    """A network that sees its input in one mirror or several; outputs are mirrored back and their mean is taken.

    Parameters
    ----------
    network : torch.nn.Module
        (B, C, *spatial) in; a tensor of the same axes out.
    seen : tuple of tuple of int
        Each mirror's spatial axes; none of them for the image as it is.
    """

    def __init__(self, network: torch.nn.Module, seen: Mirrors) -> None:
        super().__init__()
        self.network = network
        self._seen = [[axis + 2 for axis in axes] for axes in seen]

    def forward(self, image: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """The mean output, in the orientation of `image`."""
        mean: Any = 0
        for dims in self._seen:
            mean = mean + self.network(image.flip(dims), *args, **kwargs).flip(dims) / len(self._seen)
        return torch.as_tensor(mean)
