"""Does another form of a network give the same labels, and how much faster is it?"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

LEAST_AGREEMENT = 0.9999
"""Part of the voxels that must have the same label."""
LARGEST_DEVIATION = 1e-3
"""Of the network's output, as part of its range."""
_SLAB_ELEMENTS = 4_000_000

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
    other = other_size(roi)
    odd = [size + 2 * axis + 1 for axis, size in enumerate(other)]
    return [_image([batch, channels, *size], generator) for batch, size in ((1, roi), (2, other), (1, odd))]


def other_size(roi_size: Sequence[int]) -> list[int]:
    """About half as large, divisible by 32."""
    other = [32 * -(-size // 64) for size in roi_size]
    other[0] += 32  # so that axes cannot be mistaken for each other
    return other


def within(roi_size: Sequence[int], most_voxels: float) -> tuple[int, ...]:
    """The size itself, or a smaller one whose `inputs` have not too many voxels each: divisible by 32 where it was cut,
    and never below."""
    sizes = list(roi_size)
    while max(math.prod(sizes), 2 * math.prod(other_size(sizes))) > most_voxels and max(sizes) > 32:
        axis = sizes.index(max(sizes))
        sizes[axis] = 32 * ((sizes[axis] - 1) // 32)
    return tuple(sizes)


def verify(network: Network, candidate: Network, images: Sequence[torch.Tensor]) -> Agreement:
    """The worst agreement over the images.

    Parameters
    ----------
    network : callable
        The network itself. It is called again for each image: outputs of many classes are too large to be kept.
    candidate : callable
        Another form of it.
    images : sequence of Tensor
        From `inputs`; those that the network can take.

    Raises
    ------
    DisagreementError
        When an output cannot be compared.
    """
    found = [compare(network(image), candidate(image)) for image in images]
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
    """One sample of each, slab by slab: what is computed in between would be as large as the outputs themselves."""
    low, high, largest = math.inf, -math.inf, 0.0
    same_sign = same_label = labels = 0
    many = expected.ndim > 1 and expected.shape[1] > 1
    for one, other in _slabs(expected, found):
        if not (bool(one.isfinite().all()) and bool(other.isfinite().all())):
            raise DisagreementError("the output is not finite")
        low, high = min(low, float(one.min())), max(high, float(one.max()))
        largest = max(largest, float((one - other).abs().max()))
        same_sign += int(((one > 0) == (other > 0)).count_nonzero())
        if many:
            same_label += int((one.argmax(1) == other.argmax(1)).count_nonzero())
            labels += one.numel() // one.shape[1]
    agreement = same_sign / expected.numel() if expected.numel() else 0.0
    spread = high - low
    if labels:
        agreement = min(agreement, same_label / labels)
    return Agreement(agreement, largest / spread if spread > 0 else largest)


def _slabs(expected: torch.Tensor, found: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    if not expected.numel():
        return
    if expected.ndim <= 2:
        yield expected, found
        return
    thick = max(1, _SLAB_ELEMENTS * expected.shape[2] // expected.numel())
    yield from zip(expected.split(thick, 2), found.split(thick, 2), strict=True)
