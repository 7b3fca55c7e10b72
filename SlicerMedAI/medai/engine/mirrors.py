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


def mirrors(spatial: Iterable[int]) -> tuple[Axes, ...]:
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
    """A network that sees its input mirrored, and whose output is mirrored back.

    Parameters
    ----------
    network : torch.nn.Module
        (B, C, *spatial) in; a tensor, or several, of the same axes out.
    axes : tuple of int
        Spatial axes to mirror along.
    """

    def __init__(self, network: torch.nn.Module, axes: Axes) -> None:
        super().__init__()
        self.network = network
        self._dims = [axis + 2 for axis in axes]

    def forward(self, image: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """The network's output for the mirrored image, in the orientation of `image`."""
        return self._back(self.network(image.flip(self._dims), *args, **kwargs))

    def _back(self, output: Any) -> Any:
        if isinstance(output, torch.Tensor):
            return output.flip(self._dims) if output.ndim > max(self._dims, default=0) else output
        if isinstance(output, (list, tuple)):
            return type(output)(self._back(part) for part in output)
        return output
