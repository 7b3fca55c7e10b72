"""Sliding windows, each of which the network sees in mirrors as well (test-time augmentation)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from monai.inferers import SlidingWindowInferer
from torch import Tensor

from medai.engine.mirrors import Mirrored


class MirroredWindowInferer(SlidingWindowInferer):  # type: ignore[misc]  # MONAI is not type-checked
    """MONAI's, with the mean of what the network says of a window and of its mirror images, each led back.

    The network stays as it is, so whatever computes it faster need not know of mirrors.

    Parameters
    ----------
    views : sequence of sequences of int
        Of each view the spatial axes to mirror along, 0 for the first behind batch and channel; none for the window as
        it is.
    **windows
        As `SlidingWindowInferer` takes them.
    """

    def __init__(self, *, views: Sequence[Sequence[int]], **windows: Any) -> None:
        super().__init__(**windows)
        self.views = tuple(map(tuple, views))

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """The mean of the network's outputs, merged.

        Parameters
        ----------
        inputs : Tensor, shape (B, C, *spatial)
        network : callable
            (B, C, *spatial) in; a tensor of the same axes out.
        """
        return super().__call__(inputs, Mirrored(network, self.views), *args, **kwargs)  # type: ignore[no-any-return]
