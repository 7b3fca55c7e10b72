"""Each way to run a model takes less memory than the one before, and every one is reached."""

from __future__ import annotations

import pytest
import torch
from monai.inferers import SimpleInferer, SlidingWindowInferer

from medai.engine.devices import Device
from medai.engine.rungs import Rung, lower

CPU, GPU = Device("cpu", "CPU"), Device("cuda:0", "GPU")


def _all(rung, inferer, **options):
    steps = []
    while (following := lower(rung, inferer, **options)) is not None:
        step, rung = following
        steps.append((step, rung))
    return steps


@pytest.fixture
def windows():
    return SlidingWindowInferer(roi_size=[96, 96, 96], sw_batch_size=4)


def test_a_gpu_gives_way_step_by_step_and_the_cpu_is_the_last(windows):
    steps = [step for step, _ in _all(Rung(GPU), windows)]
    for expected, step in zip(
        ["one window at a time", "computer's memory", "smaller parts", "half precision", "half the size", "CPU"],
        steps[:6],
        strict=True,
    ):
        assert expected in step
    # On the CPU the same image may still be too large: smaller parts, then smaller windows.
    assert ["smaller parts" in step or "half the size" in step for step in steps[6:]] == [True, True]


def test_no_rung_is_taken_twice(windows):
    rungs = [rung for _, rung in _all(Rung(GPU), windows)]
    assert len(set(rungs)) == len(rungs)


def test_one_window_at_a_time_is_not_told_to_a_model_that_takes_one(windows):
    windows.sw_batch_size = 1
    assert "smaller parts" in _all(Rung(CPU), windows)[0][0]


def test_one_window_at_a_time_is_the_first_step_for_a_network_that_gets_several(windows):
    windows.sw_batch_size = 1
    assert Rung(CPU).changes(windows, at_once=2) == {"sw_batch_size": 2}
    (step, rung), *_ = _all(Rung(CPU), windows, at_once=2)
    assert "one window at a time" in step
    assert rung.changes(windows, at_once=2) == {"sw_batch_size": 1}


def test_a_model_that_takes_more_windows_at_once_and_one_that_takes_whole_images_are_left_as_they_are(windows):
    assert Rung(CPU).changes(windows, at_once=2) == {}
    assert Rung(CPU).changes(SimpleInferer(), at_once=2) == {}


def test_a_number_of_windows_that_a_person_chose_is_kept(windows):
    rungs = _all(Rung(CPU, 4), windows, windows_chosen=True)
    assert {rung.sw_batch_size for _, rung in rungs} == {4}


def test_a_model_of_whole_images_has_only_the_cpu_below_it():
    steps = _all(Rung(GPU), SimpleInferer())
    assert [rung.device.name for _, rung in steps] == ["cuda:0", "cpu"]
    assert "half precision" in steps[0][0]
    assert _all(Rung(CPU), SimpleInferer()) == []


@pytest.mark.parametrize(
    ("roi", "halved"),
    [([96, 128, 64], (48, 64, 32)), ([48, 40, 33], (32, 32, 32)), (96, 48), ([160, -1, 96], (80, -1, 48))],
)
def test_windows_of_half_the_size_suit_networks_that_halve_their_input(roi, halved):
    inferer = SlidingWindowInferer(roi_size=roi)
    assert Rung(CPU, smaller_windows=True).changes(inferer)["roi_size"] == halved


def test_windows_too_small_to_halve_are_left(windows):
    windows.roi_size = [32, 32, 24]
    assert not any(rung.smaller_windows for _, rung in _all(Rung(CPU), windows))


def test_half_precision_gives_ordinary_numbers():
    network = torch.nn.Conv3d(1, 2, 3)
    with torch.inference_mode():
        output = Rung(CPU, half=True).in_precision(network)(torch.rand(1, 1, 5, 5, 5))
    assert output.dtype == torch.float32


def test_what_cannot_go_through_an_image_in_parts_is_not_told_to(windows):
    steps = [step for step, _ in _all(Rung(CPU), windows, streamed=False)]
    assert len(steps) == 2
    assert not any("smaller parts" in step for step in steps)
