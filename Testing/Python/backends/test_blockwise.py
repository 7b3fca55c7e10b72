"""Convolutions of few channels, computed for a block of neighbours at once, give what the convolutions give."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from torch import nn

from medai.engine.backends import blockwise

pytestmark = pytest.mark.usefixtures("openvino_that_is_rewritten")
Check = Callable[..., Any]


@pytest.fixture
def check(alike_rewritten: Check) -> Check:
    """A network, the size of its image, and how many of its convolutions are computed so."""
    return partial(alike_rewritten, blockwise.rewrite, channels=16)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("outputs", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(8, 6, 4), (7, 9, 5)])
def test_any_few_channels_and_any_size(check: Check, size: tuple[int, ...], outputs: int, *, bias: bool) -> None:
    check(nn.Conv3d(16, outputs, 3, padding=1, bias=bias), *size)


@pytest.mark.parametrize("padding", [0, 1, (2, 0, 1)])
@pytest.mark.parametrize("taps", [3, (3, 5, 4)])
def test_any_taps_and_zeros(check: Check, taps: Any, padding: Any) -> None:
    check(nn.Conv3d(16, 2, taps, padding=padding), 8, 9, 10)


def test_images_of_two_axes(check: Check) -> None:
    check(nn.Conv2d(16, 3, 3, padding=1), 9, 12)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("taps", "padding", "further"),
    [(3, 1, 1), (3, 1, 0), (2, 0, 0), (4, 1, 0), (3, 0, (1, 0, 1)), ((3, 2, 4), (1, 0, 1), (1, 0, 0)), (5, 2, 1)],
)
def test_transposed(check: Check, taps: Any, padding: Any, further: Any, *, bias: bool) -> None:
    network = nn.ConvTranspose3d(32, 3, taps, stride=2, padding=padding, output_padding=further, bias=bias)
    check(network, 5, 4, 6, channels=32)


def test_transposed_in_two_axes(check: Check) -> None:
    check(nn.ConvTranspose2d(16, 1, 3, stride=2, padding=1, output_padding=1), 6, 7)


@pytest.mark.parametrize("norm", [nn.InstanceNorm3d(3), nn.InstanceNorm3d(3, affine=True), nn.GroupNorm(3, 3)])
def test_normalised_afterwards(check: Check, norm: nn.Module) -> None:
    up = nn.ConvTranspose3d(32, 3, 3, stride=2, padding=1, output_padding=1)
    model = check(nn.Sequential(up, norm, nn.PReLU(), nn.Conv3d(3, 3, 3, padding=1)), 7, 5, 6, channels=32, expected=2)
    assert "MVN" not in {node.get_type_name() for node in model.get_ordered_ops()}


def test_a_sum_of_many_values_stays_exact(check: Check) -> None:
    check(nn.Sequential(nn.Conv3d(16, 2, 3, padding=1), nn.InstanceNorm3d(2)), 48, 48, 48)


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv3d(16, 16, 3, padding=1),
        nn.Conv3d(16, 2, 1),
        nn.Conv3d(16, 2, 3, stride=2),
        nn.Conv3d(16, 2, 3, dilation=2),
        nn.Conv3d(16, 2, 3, groups=2),
        nn.ConvTranspose3d(16, 2, 3, stride=(1, 2, 2)),
        nn.ConvTranspose3d(16, 2, 3, stride=3),
        nn.ConvTranspose3d(16, 2, 3, stride=2, dilation=2),
        nn.ConvTranspose3d(16, 2, 3, stride=2, groups=2),
        nn.ConvTranspose3d(16, 32, 3, stride=2),
    ],
)
def test_whatever_it_is_not_for_is_left_alone(check: Check, convolution: nn.Module) -> None:
    check(convolution, 8, 8, 8, expected=0)
