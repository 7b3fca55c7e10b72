"""Convolutions with half of the multiplications give what the convolutions give."""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from medai.engine.backends import openvino, winograd

pytestmark = pytest.mark.usefixtures("openvino_that_is_rewritten")


Check = Callable[..., Any]


@pytest.fixture
def check(alike_rewritten: Check) -> Check:
    """A network, the size of its image, and how many of its convolutions get by with less; gives the model."""
    return partial(alike_rewritten, winograd.rewrite)


def convolutions(model: Any) -> int:
    return sum(node.get_type_name() == "Convolution" for node in model.get_ops())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("depth", [8, 11, 13, 18])
def test_any_number_of_planes(check: Check, depth: int, bias: bool) -> None:
    check(nn.Conv3d(32, 40, 3, padding=1, bias=bias), depth, 9, 10)


@pytest.mark.parametrize("padding", [0, 1, 2, (1, 0, 2), (4, 1, 1)])
def test_any_zeros_around_the_image(check: Check, padding: Any) -> None:
    check(nn.Conv3d(64, 48, 3, padding=padding), 14, 9, 11, channels=64)


def test_taps_strides_and_dilations_of_the_other_axes(check: Check) -> None:
    check(nn.Conv3d(32, 32, (3, 5, 4), stride=(1, 2, 1), dilation=(1, 1, 2), padding=(1, 2, 3)), 12, 14, 15)


def test_images_of_two_axes_keep_the_innermost_whole(check: Check) -> None:
    assert convolutions(check(nn.Conv2d(96, 128, 3, padding=1), 32, 19, channels=96)) == 6


def test_many_channels_are_halved_along_two_axes(check: Check) -> None:
    model = check(nn.Conv3d(128, 128, 3, padding=1), 12, 15, 10, channels=128)
    assert convolutions(model) == 36


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv3d(32, 32, 3, stride=2, padding=1),
        nn.Conv3d(32, 32, 3, dilation=2, padding=2),
        nn.Conv3d(32, 32, 5, padding=2),
        nn.Conv3d(32, 32, 1),
        nn.Conv3d(32, 32, 3, groups=2, padding=1),
        nn.ConvTranspose3d(32, 32, 3, padding=1),
        nn.Conv3d(32, 2, 3, padding=1),
    ],
    ids=["strides", "dilations", "five taps", "one tap", "groups", "transposed", "few channels"],
)
def test_whatever_it_is_not_for_is_left_alone(check: Check, convolution: nn.Module) -> None:
    check(convolution, 12, 12, 12, expected=0)


def test_an_output_that_several_read_and_a_sum_that_is_no_bias(check: Check) -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = (nn.Conv3d(32, 32, 3, padding=1, bias=False) for _ in range(2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.first(x)
            return torch.cat([y + torch.arange(9.0), y - x, self.second(torch.relu(y)) + x], 1)

    check(Residual(), 12, 10, 9, expected=2)


def test_images_of_any_size_are_left_alone() -> None:
    network, x = nn.Conv3d(32, 32, 3, padding=1).eval(), torch.zeros(1, 32, 12, 12, 12)
    assert winograd.rewrite(openvino.converted(network, x, fixed=False)) == 0


def test_other_processors_are_left_alone(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    check(nn.Conv3d(32, 32, 3, padding=1), 12, 12, 12, expected=0)


def test_windows_of_a_batch_go_through_it_one_by_one() -> None:
    torch.manual_seed(1)
    network = nn.Sequential(nn.Conv3d(1, 32, 1), nn.Conv3d(32, 32, 3, padding=1), nn.ReLU(), nn.Conv3d(32, 2, 1)).eval()
    x = torch.randn(3, 1, 12, 11, 10)
    with torch.no_grad():
        model = openvino.converted(network, x[:1], fixed=False)
        run = openvino.OpenVINORunner(model, 1, (1, 12, 11, 10))
        for found in (run(x), *run.outputs(x)):
            torch.testing.assert_close(found, network(x), rtol=1e-4, atol=1e-4)
