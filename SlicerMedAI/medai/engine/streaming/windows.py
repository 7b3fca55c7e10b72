"""The windows of MONAI's SlidingWindowInferer, one by one: where they lie, what they weigh.

Sizes, places and weights come from MONAI's own functions, so that sums of windows are MONAI's to the last bit where
they are added in MONAI's order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from monai.data.utils import compute_importance_map, dense_patch_slices, get_valid_patch_size
from monai.inferers import SlidingWindowInferer, SlidingWindowInfererAdapt
from monai.inferers.utils import _get_scan_interval
from monai.utils import (
    PytorchPadMode,
    convert_data_type,
    ensure_tuple,
    ensure_tuple_rep,
    fall_back_tuple,
    look_up_option,
)
from torch.nn import functional

from medai.engine.streaming.errors import NotStreamableError

Box = tuple[tuple[int, int], ...]
"""Start and stop along every axis."""


@dataclass(frozen=True, eq=False)
class Windows:
    """All windows of one image.

    Parameters
    ----------
    size : tuple of int
        Spatial size of the image.
    padding : tuple of int
        Voxels put before the image along each axis, where it is smaller than a window.
    roi : tuple of int
        Size of a window.
    starts : tuple of tuple of int
        Where each begins, in the padded image, in MONAI's order.
    weights : Tensor, shape `roi`
        How much each voxel of a window counts.
    batch : int
        Windows per forward pass.
    """

    size: tuple[int, ...]
    padding: tuple[int, ...]
    roi: tuple[int, ...]
    starts: tuple[tuple[int, ...], ...]
    weights: torch.Tensor
    batch: int

    @cached_property
    def even(self) -> bool:
        """Whether every voxel of a window counts the same: once."""
        return bool((self.weights == 1).all())

    def touching(self, box: Box) -> list[tuple[int, ...]]:
        """The windows that reach into a box of the image (not of the padded one), in order."""
        spans = [(a + pad, b + pad, n) for (a, b), pad, n in zip(box, self.padding, self.roi, strict=True)]
        return [
            start
            for start in self.starts
            if all(s < b and s + n > a for s, (a, b, n) in zip(start, spans, strict=True))
        ]

    def cuts(self, axis: int) -> list[int]:
        """Where the image can be cut across `axis` so that the fewest windows reach over the cut."""
        places = {start[axis] - self.padding[axis] for start in self.starts}
        return sorted(place for place in places if 0 < place < self.size[axis])


def check_inferer(inferer: object) -> SlidingWindowInferer:
    """The same inferer.

    Raises
    ------
    NotStreamableError
        When it is none whose windows could be told one by one.
    """
    if type(inferer) not in (SlidingWindowInferer, SlidingWindowInfererAdapt):
        raise NotStreamableError(f"{type(inferer).__name__} is no plain sliding window")
    if inferer.with_coord:  # type: ignore[attr-defined]
        raise NotStreamableError("its network is told where its window lies")
    return inferer


def merging_device(inferer: SlidingWindowInferer, image: torch.Tensor, device: torch.device) -> torch.device:
    """Where MONAI puts the windows of an image together that is on `device`."""
    too_large = inferer.cpu_thresh is not None and image.shape[2:].numel() > inferer.cpu_thresh
    return torch.device(inferer.device or ("cpu" if too_large else device))


def windows_of(inferer: SlidingWindowInferer, image: torch.Tensor) -> Windows:
    """All windows that `inferer` would run.

    Parameters
    ----------
    inferer : SlidingWindowInferer
        See `check_inferer`.
    image : Tensor, shape (1, C, *spatial)
        Its size, type and place are what counts.
    """
    size = tuple(int(n) for n in image.shape[2:])
    rank = len(size)
    overlap = ensure_tuple_rep(inferer.overlap, rank)
    if any(not 0 <= part < 1 for part in overlap):
        raise NotStreamableError("its overlap is not one that MONAI takes")
    roi = fall_back_tuple(inferer.roi_size, size)
    padded = tuple(max(have, want) for have, want in zip(size, roi, strict=True))
    places = dense_patch_slices(padded, roi, _get_scan_interval(padded, roi, rank, overlap), return_slice=True)
    return Windows(
        size=size,
        padding=tuple((all_ - have) // 2 for all_, have in zip(padded, size, strict=True)),
        roi=tuple(int(n) for n in roi),
        starts=tuple(tuple(int(part.start) for part in place) for place in places),
        weights=_weights(inferer, padded, roi, image),
        batch=int(inferer.sw_batch_size),
    )


def padded(inferer: SlidingWindowInferer, image: torch.Tensor, windows: Windows) -> torch.Tensor:
    """The image as large as a window at least, as MONAI makes it."""
    missing = [max(want - have, 0) for want, have in zip(windows.roi, windows.size, strict=True)]
    if not any(missing):
        return image
    ends = [part for n in reversed(missing) for part in (n // 2, n - n // 2)]
    mode = look_up_option(inferer.padding_mode, PytorchPadMode)
    return functional.pad(image, pad=ends, mode=mode, value=inferer.cval)


def _weights(inferer: SlidingWindowInferer, size: Sequence[int], roi: Any, image: torch.Tensor) -> torch.Tensor:
    valid = get_valid_patch_size(size, roi)
    if valid == roi and inferer.roi_weight_map is not None:
        weights = inferer.roi_weight_map
    else:
        weights = compute_importance_map(
            ensure_tuple(valid),
            mode=inferer.mode,
            sigma_scale=inferer.sigma_scale,
            device=inferer.sw_device or image.device,
            dtype=image.dtype,
        )
    weights = convert_data_type(weights, torch.Tensor, device=inferer.sw_device or image.device, dtype=image.dtype)[0]
    if tuple(weights.shape) != tuple(roi):
        raise NotStreamableError("its weights are not of the size of its windows")
    return weights
