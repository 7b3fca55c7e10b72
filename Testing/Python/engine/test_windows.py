"""Counting windows must agree with what MONAI's inferers really do."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.inferers import SaliencyInferer, SimpleInferer, SliceInferer, SlidingWindowInferer

from medai.engine.windows import count_windows, watched


class Counting(torch.nn.Module):
    """Identity that counts the samples it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.seen += image.shape[0]
        return image


@settings(max_examples=40, deadline=None)
@given(
    size=st.lists(st.integers(1, 30), min_size=2, max_size=3),
    roi=st.lists(st.sampled_from([-1, 4, 7, 16]), min_size=3, max_size=3),
    overlap=st.sampled_from([0.0, 0.25, 0.5, 0.8]),
    sw_batch_size=st.integers(1, 5),
)
def test_the_count_is_what_the_inferer_really_runs(size, roi, overlap, sw_batch_size):
    inferer = SlidingWindowInferer(roi[: len(size)], sw_batch_size, overlap)
    network = Counting()
    inferer(torch.zeros(1, 1, *size), network)
    assert count_windows(inferer, size) == network.seen


@pytest.mark.parametrize("spatial_dim", [0, 1, 2])
def test_slices_are_counted_too(spatial_dim):
    inferer = SliceInferer(spatial_dim=spatial_dim, roi_size=[4, 5], sw_batch_size=2, overlap=0.25)
    network = Counting()
    inferer(torch.zeros(1, 1, 9, 8, 7), network)
    assert count_windows(inferer, (9, 8, 7)) == network.seen


def test_an_inferer_without_windows_runs_once():
    assert count_windows(SimpleInferer(), (9, 8, 7)) == 1


def test_an_unknown_inferer_has_no_count():
    assert count_windows(SaliencyInferer("CAM", "layer"), (9, 8, 7)) == 0


def test_every_forward_pass_is_reported_before_and_after():
    network, seen = Counting(), []
    with watched(network, seen.append, least_interval_s=0):
        SlidingWindowInferer([4, 4], 3, 0)(torch.zeros(1, 1, 8, 16), network)
    assert seen == [0, 3, 3, 6, 6, 8]


def test_fast_passes_are_reported_together():
    network, seen = Counting(), []
    with watched(network, seen.append, least_interval_s=3600):
        SlidingWindowInferer([4, 4], 1, 0)(torch.zeros(1, 1, 16, 16), network)
    assert seen == [0]


def test_the_network_is_left_as_it_was_even_after_a_cancel():
    network = Counting()

    def cancel(_done):
        raise InterruptedError

    with pytest.raises(InterruptedError), watched(network, cancel, least_interval_s=0):
        network(torch.zeros(1, 1, 4))
    network(torch.zeros(2, 1, 4))
    assert network.seen == 2
