"""How much a finding depends on every part of the image, by covering one after the other, with MONAI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.inferers import SlidingWindowInferer
from monai.visualize import OcclusionSensitivity

from medai.engine.windows import count_windows
from medai.tasks.explain.odds import LogOdds

_STEPS = {2: 12, 3: 6}
_BATCH = {2: 8, 3: 1}
_OVERLAP = 0.5


class OcclusionInferer:
    """In place of a bundle's own inferer: gives the map of one class instead of scores.

    What is covered gets the image's mean: black would not be seen in what is dark anyway.

    Parameters
    ----------
    target : int
        Number of the class.
    exclusive : bool
        Whether just one class is true.
    steps : int, optional
        Places along each axis.
    """

    def __init__(self, target: int, *, exclusive: bool, steps: int | None = None) -> None:
        self._target = target
        self._exclusive = exclusive
        self._steps = steps

    def __call__(self, inputs: torch.Tensor, network: torch.nn.Module, *_args: Any, **_kwargs: Any) -> torch.Tensor:
        """By how much the log-odds fall, 0 or more, shape (1, 1, *spatial) as the inputs."""
        image = inputs.as_subclass(torch.Tensor)
        wrapped = LogOdds(network, exclusive=self._exclusive)
        whole = wrapped(image)[0, self._target]
        covering = OcclusionSensitivity(
            wrapped,
            mask_size=self.mask_size(image.shape[2:]),
            n_batch=_BATCH[image.ndim - 2],
            mode="mean_img",
            overlap=_OVERLAP,
            activate=False,
            verbose=False,
        )
        covered, _ = covering(image)
        return (whole - covered[:, self._target : self._target + 1].as_subclass(torch.Tensor)).clamp(min=0)

    def mask_size(self, size: Sequence[int]) -> list[int]:
        """Edges of what is covered at once, in voxels of the network's input: half of it overlaps with the next."""
        steps = self._steps or _STEPS[len(size)]
        return [max(1, round(2 * edge / (steps + 1))) for edge in size]

    def count(self, size: Sequence[int]) -> int:
        """Number of forward passes for an input of this spatial size."""
        return 1 + count_windows(SlidingWindowInferer(self.mask_size(size), overlap=_OVERLAP), size)
