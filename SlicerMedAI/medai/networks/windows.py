"""Sliding windows, each of which the network sees in mirrors as well (test-time augmentation)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from monai.inferers import SlidingWindowInferer
from monai.utils import PytorchPadMode, fall_back_tuple
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
        As `SlidingWindowInferer` takes them. With ``padding_mode="reflect"`` an image may be as thin as it likes.
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
        if self.padding_mode != PytorchPadMode.REFLECT:
            return super().__call__(inputs, Mirrored(network, self.views), *args, **kwargs)  # type: ignore[no-any-return]
        filled, own = _filled(inputs, fall_back_tuple(self.roi_size, inputs.shape[2:]))
        found: Tensor = super().__call__(filled, Mirrored(network, self.views), *args, **kwargs)
        return found[own]


def _filled(image: Tensor, size: Sequence[int]) -> tuple[Tensor, tuple[Any, ...]]:
    """The image reflected at its ends until it is as large as a window, and where in it the image itself is.

    As a training fills up. PyTorch reflects an image once, which does for no image of less than half a window, and
    leaves out its last slice: of two, that would make a pattern of every second slice, which looks like no noise.
    """
    own: tuple[Any, ...] = (slice(None), slice(None))
    for axis, wanted in enumerate(size, start=2):
        have = image.shape[axis]
        missing = max(wanted - have, 0)
        before = missing // 4 * 2  # even, so that slices which a network takes in pairs stay together
        places = np.pad(np.arange(have), (before, missing - before), mode="symmetric")
        image = image.index_select(axis, torch.from_numpy(places).to(image.device)) if missing else image
        own += (slice(before, before + have),)
    return image, own
