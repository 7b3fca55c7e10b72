"""Forward passes counted: progress and cancel points inside a bundle's own inferer.

The network itself is watched through PyTorch's hooks, so whatever an inferer does around it stays as it is, and no
number changes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from medai.errors import BundleError

OnWindow = Callable[[int], None]
"""Called with the number of windows finished so far, before the first and after each forward pass; may raise."""


def count_windows(inferer: object, image_size: Sequence[int]) -> int:
    """How many windows `inferer` will hand to the network for one image.

    Parameters
    ----------
    inferer : monai.inferers.Inferer
        The bundle's own.
    image_size : sequence of int
        Spatial size of the preprocessed image, without batch and channel.

    Returns
    -------
    int
        0 when it cannot be told for this kind of inferer. A window counts as often as it is looked at.
    """
    from monai.data.utils import dense_patch_slices
    from monai.inferers import SimpleInferer, SliceInferer, SlidingWindowInferer
    from monai.inferers.utils import _get_scan_interval
    from monai.utils import ensure_tuple_rep, fall_back_tuple

    if isinstance(inferer, SimpleInferer):
        return 1
    if not isinstance(inferer, SlidingWindowInferer):
        return 0
    size = list(image_size)
    roi: Any = inferer.roi_size
    if isinstance(inferer, SliceInferer):
        # One call per window of each slice: a window one voxel thick along the sliced axis.
        roi = list(roi) if isinstance(roi, Sequence) else [roi] * (len(size) - 1)
        if len(roi) < len(size):
            roi.insert(inferer.spatial_dim, 1)
    roi = fall_back_tuple(roi, size)
    padded = [max(have, want) for have, want in zip(size, roi, strict=True)]
    overlap = ensure_tuple_rep(inferer.overlap, len(size))
    interval = _get_scan_interval(padded, roi, len(size), overlap)
    return len(dense_patch_slices(padded, roi, interval, return_slice=False)) * len(getattr(inferer, "views", (0,)))


def check_output(output: torch.Tensor) -> None:
    """Refuse a network's output that holds no numbers: labels made of it would look like "nothing found".

    Raises
    ------
    BundleError
        When a value is NaN.
    """
    if output.is_floating_point() and output.numel() and bool(output.amax().isnan()):
        raise BundleError(
            "The model computed no valid values for this image.",
            "Its network gave values that are not numbers (NaN): its weights may be damaged, or the image's "
            "intensities far from what it was made for.",
            "Check the image's intensities; if they are ordinary, import the model again or choose another one.",
        )


@contextmanager
def watched(network: torch.nn.Module, on_window: OnWindow, *, least_interval_s: float = 0.05) -> Iterator[None]:
    """Call `on_window` around the forward passes of `network` inside the ``with`` block.

    Parameters
    ----------
    network : torch.nn.Module
        Runs as if nobody watched.
    on_window : callable
        Raising in it ends the inference.
    least_interval_s : float
        Passes that follow each other faster are reported together; the first and the last of a batch of calls are
        not guaranteed to be reported.
    """
    done = 0
    last = -math.inf

    def tell() -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= least_interval_s:
            last = now
            on_window(done)

    def before(_module: torch.nn.Module, _inputs: object) -> None:
        tell()

    def after(_module: torch.nn.Module, inputs: tuple[Any, ...], _output: object) -> None:
        nonlocal done
        done += int(inputs[0].shape[0]) if inputs and isinstance(inputs[0], torch.Tensor) else 1
        tell()

    hooks = [network.register_forward_pre_hook(before), network.register_forward_hook(after)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
