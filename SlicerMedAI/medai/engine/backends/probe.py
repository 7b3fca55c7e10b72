"""Does another form of a network give the same labels, and how much faster is it?"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

LEAST_AGREEMENT = 0.9999
"""Part of the voxels that must have the same label."""
LARGEST_DEVIATION = 1e-3
"""Of the network's output, as part of its range."""

Network = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Agreement:
    """How alike two outputs are.

    Parameters
    ----------
    labels : float
        Part of the voxels with the same label, 0 to 1; the smaller of both readings of several channels: the largest
        wins, or each is above zero or not.
    deviation : float
        Largest difference, as part of the range of the expected output.
    """

    labels: float
    deviation: float

    def suffices(self, largest_deviation: float = LARGEST_DEVIATION) -> bool:
        return self.labels >= LEAST_AGREEMENT and self.deviation <= largest_deviation


class DisagreementError(Exception):
    """Another form of the network gives something else than the network."""


def compare(expected: torch.Tensor, found: object) -> Agreement:
    """How alike the outputs of two forms of one network are.

    Raises
    ------
    DisagreementError
        When they cannot be compared: another kind, shape or dtype, or values that are not finite.
    """
    if not isinstance(found, torch.Tensor):
        raise DisagreementError("the output is not one tensor")
    if found.shape != expected.shape or found.dtype != expected.dtype:
        raise DisagreementError(
            f"the output is {tuple(found.shape)} {found.dtype}, not {tuple(expected.shape)} {expected.dtype}"
        )
    # Sample by sample: outputs of many classes are large.
    each = [_compare_sample(*pair) for pair in zip(expected.split(1), found.split(1), strict=True)]
    return Agreement(min(one.labels for one in each), max(one.deviation for one in each))


def inputs(channels: int, roi_size: Sequence[int]) -> list[torch.Tensor]:
    """Images to try a network on, always the same: its window, a pair of another size, and one of odd size.

    Blobs with noise, mean 0 and standard deviation 1: what most preprocessing ends with.

    Returns
    -------
    list of Tensor, each (B, C, spatial)
    """
    generator = torch.Generator().manual_seed(20240229)
    roi = list(roi_size)
    other = [32 * -(-size // 64) for size in roi]  # half as large, divisible by 32
    other[0] += 32  # so that axes cannot be mistaken for each other
    odd = [size + 2 * axis + 1 for axis, size in enumerate(other)]
    return [_image([batch, channels, *size], generator) for batch, size in ((1, roi), (2, other), (1, odd))]


def verify(expected: Mapping[int, torch.Tensor], candidate: Network, images: Sequence[torch.Tensor]) -> Agreement:
    """The worst agreement over the images.

    Parameters
    ----------
    expected : mapping
        The network's own output by index of the image; those that it cannot take are missing.
    candidate : callable
        Another form of it.
    images : sequence of Tensor
        From `inputs`.

    Raises
    ------
    DisagreementError
        When an output cannot be compared.
    """
    found = [compare(output, candidate(images[index])) for index, output in expected.items()]
    return Agreement(min(one.labels for one in found), max(one.deviation for one in found))


def speed_ratios(
    network: Network,
    candidates: Mapping[str, Network],
    image: torch.Tensor,
    *,
    repeats: int = 3,
    synchronize: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """How many times faster than the network each candidate is: all take turns, so that what slows the machine slows
    all; the median counts.

    Parameters
    ----------
    synchronize : callable
        Waits until the device has done what it was given.
    """
    turns: dict[str, list[float]] = {name: [] for name in candidates}
    for form in (network, *candidates.values()):
        form(image)  # the first time is never like the others
    for _ in range(repeats):
        base = _seconds(network, image, synchronize)
        for name, candidate in candidates.items():
            turns[name].append(base / _seconds(candidate, image, synchronize))
    return {name: statistics.median(ratios) for name, ratios in turns.items()}


def _seconds(network: Network, image: torch.Tensor, synchronize: Callable[[], None]) -> float:
    synchronize()
    began = time.perf_counter()
    network(image)
    synchronize()
    return max(time.perf_counter() - began, 1e-9)


def _image(shape: list[int], generator: torch.Generator) -> torch.Tensor:
    coarse = torch.randn([*shape[:2], *[max(2, size // 12) for size in shape[2:]]], generator=generator)
    mode = "trilinear" if len(shape) == 5 else "bilinear" if len(shape) == 4 else "linear"
    blobs = torch.nn.functional.interpolate(coarse, size=shape[2:], mode=mode, align_corners=False)
    image = blobs + 0.3 * torch.randn(shape, generator=generator)
    return (image - image.mean()) / image.std()


def _compare_sample(expected: torch.Tensor, found: torch.Tensor) -> Agreement:
    if not (bool(expected.isfinite().all()) and bool(found.isfinite().all())):
        raise DisagreementError("the output is not finite")
    spread = float(expected.max() - expected.min())
    largest = float((expected - found).abs().max())
    labels = _share((expected > 0) == (found > 0))
    if expected.ndim > 1 and expected.shape[1] > 1:
        labels = min(labels, _share(expected.argmax(1) == found.argmax(1)))
    return Agreement(labels, largest / spread if spread else largest)


def _share(same: torch.Tensor) -> float:
    return int(same.count_nonzero()) / same.numel() if same.numel() else 0.0
