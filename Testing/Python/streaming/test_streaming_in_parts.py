"""A streamed image in parts: tiles, regions, progress, and what cannot be streamed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from monai.inferers import SlidingWindowInferer

from medai.engine.streaming.predict import count
from medai.errors import MedAIError

ARGMAX = {"_target_": "AsDiscreted", "keys": "pred", "argmax": True}
INVERT = {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "image"}
LINEAR = INVERT | {"nearest_interp": False}
SCALE = {"_target_": "ScaleIntensityd", "keys": "image", "minv": -1.0, "maxv": 1.0}
SPACING = {"_target_": "Spacingd", "keys": "image", "pixdim": [1.4, 1.2, 1.7], "mode": "bilinear"}
ORIENTATION = {"_target_": "Orientationd", "keys": "image", "axcodes": "LSP"}
LARGEST = {"_target_": "KeepLargestConnectedComponentd", "keys": "pred"}
WINDOWS = {"roi_size": [8, 8, 6], "sw_batch_size": 2, "overlap": 0.5, "mode": "gaussian"}
SHAPE = (17, 25, 22)


class StoppedError(MedAIError):
    """Somebody pressed Cancel."""


@pytest.fixture(scope="module")
def a_resampled_case(build: Callable[..., Any]) -> Any:
    return build([ORIENTATION, SPACING, SCALE], [LINEAR, ARGMAX], WINDOWS, shape=SHAPE)


@pytest.fixture(scope="module")
def a_case_on_its_own_grid(build: Callable[..., Any]) -> Any:
    return build([ORIENTATION, SCALE], [LINEAR, ARGMAX], WINDOWS, shape=SHAPE)


def _counted(case: Any, **options: Any) -> tuple[Any, list[int]]:
    """Labels, and how many windows each forward pass of the network had."""
    passes: list[int] = []
    network = case.pipeline.network

    def watched(windows: torch.Tensor) -> torch.Tensor:
        passes.append(len(windows))
        return network(windows)

    return case.streamed(network=watched, **options), passes


@pytest.mark.parametrize("kind", ["a_resampled_case", "a_case_on_its_own_grid"])
def test_tiles_give_the_labels_of_one_sweep(kind: str, request: pytest.FixtureRequest) -> None:
    case = request.getfixturevalue(kind)
    whole, passes = _counted(case, budget_bytes=1 << 40)
    tiled, more_passes = _counted(case, budget_bytes=1)
    assert sum(more_passes) > sum(passes)  # it was cut, and windows over the cuts were computed again
    assert set(more_passes) == {1}
    np.testing.assert_array_equal(tiled.array, whole.array)
    np.testing.assert_array_equal(whole.array, case.by_monai().array)


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    ends=st.tuples(*[st.tuples(st.integers(0, n), st.integers(0, n)) for n in SHAPE]),
    resampled=st.booleans(),
    budget=st.sampled_from([1, 1 << 40]),
)
def test_a_region_has_the_labels_of_the_whole_image(
    a_resampled_case: Any,
    a_case_on_its_own_grid: Any,
    ends: tuple[tuple[int, int], ...],
    resampled: bool,
    budget: int,
) -> None:
    case = a_resampled_case if resampled else a_case_on_its_own_grid
    region = tuple(slice(min(pair), max(pair)) for pair in ends)
    expected = np.zeros_like(case.by_monai().array)
    expected[region] = case.by_monai().array[region]
    found = case.streamed(region=region, budget_bytes=budget)
    np.testing.assert_array_equal(found.array, expected)


def test_a_region_runs_only_the_windows_it_touches(a_case_on_its_own_grid: Any) -> None:
    case = a_case_on_its_own_grid
    region = (slice(0, 4), slice(0, 5), slice(0, 5))
    _, passes = _counted(case, region=region)
    _, all_passes = _counted(case)
    assert sum(passes) < sum(all_passes) / 4
    batch = case.pipeline.preprocess(case.volumes)
    assert sum(passes) == count(case.pipeline, batch, case.volumes[0], region=region)
    assert sum(all_passes) == case.pipeline.count_windows(batch)
    assert sum(all_passes) == count(case.pipeline, batch, case.volumes[0])


def test_steps_that_look_far_see_the_whole_image_before_a_region_is_cut_out(build: Callable[..., Any]) -> None:
    case = build([SCALE], [ARGMAX, LARGEST], WINDOWS, shape=SHAPE)
    region = (slice(3, 9), slice(2, 20), slice(5, 21))
    whole = case.by_monai().array
    found = case.streamed(region=region).array
    np.testing.assert_array_equal(found[region], whole[region])
    assert found.sum() == whole[region].sum()


def test_progress_counts_every_window_once_even_in_tiles(a_resampled_case: Any) -> None:
    case = a_resampled_case
    total = case.pipeline.count_windows(case.pipeline.preprocess(case.volumes))
    for budget in (1, 1 << 40):
        told: list[int] = []
        case.streamed(on_window=told.append, budget_bytes=budget)
        assert told[0] == 0
        assert told[-1] == total
        assert told == sorted(told)


def test_raising_from_progress_stops_it(a_resampled_case: Any) -> None:
    def stop(done: int) -> None:
        if done >= 3:
            raise StoppedError("Stopped.", "You asked for it.", "Start again.")

    passes: list[int] = []
    network = a_resampled_case.pipeline.network

    def watched(windows: torch.Tensor) -> torch.Tensor:
        passes.append(len(windows))
        return network(windows)

    with pytest.raises(StoppedError):
        a_resampled_case.streamed(network=watched, on_window=stop)
    assert passes in ([2, 2], [2, 2, 2])  # two more were on their way when the third was told


def test_overlap_and_batch_are_those_asked_for(a_resampled_case: Any) -> None:
    inferer = a_resampled_case.pipeline.inferer_for(overlap=0.1, sw_batch_size=3)
    found, passes = _counted(a_resampled_case, inferer=inferer)
    assert max(passes) == 3
    np.testing.assert_array_equal(found.array, a_resampled_case.by_monai(inferer=inferer).array)


def test_another_inferer_takes_the_place_of_the_bundles_own(a_resampled_case: Any) -> None:
    inferer = SlidingWindowInferer((6, 8, 10), overlap=0.25, mode="constant")
    found = a_resampled_case.streamed(inferer=inferer)
    np.testing.assert_array_equal(found.array, a_resampled_case.by_monai(inferer=inferer).array)
    batch = a_resampled_case.pipeline.preprocess(a_resampled_case.volumes)
    counted = count(a_resampled_case.pipeline, batch, a_resampled_case.volumes[0], inferer=inferer)
    assert counted == a_resampled_case.pipeline.count_windows(batch, inferer=inferer)
    assert counted != a_resampled_case.pipeline.count_windows(batch)


@pytest.mark.parametrize(
    ("reason", "pre", "post", "inferer"),
    [
        ("SimpleInferer", [SCALE], [ARGMAX], {"_target_": "SimpleInferer"}),
        (
            "turns the image",
            [{"_target_": "Spacingd", "keys": "image", "pixdim": [1.5, 1.2, 1.1], "diagonal": True}, SCALE],
            [LINEAR, ARGMAX],
            WINDOWS,
        ),
        (
            "interpolates twice",
            [SPACING, {"_target_": "Resized", "keys": "image", "spatial_size": [9, 9, 9], "mode": "trilinear"}, SCALE],
            [LINEAR, ARGMAX],
            WINDOWS,
        ),
        ("GaussianSmoothd", [SCALE], [{"_target_": "GaussianSmoothd", "keys": "pred", "sigma": 1.0}, ARGMAX], WINDOWS),
        ("undoing Rotate90", [{"_target_": "Rotate90d", "keys": "image"}, SCALE], [LINEAR, ARGMAX], WINDOWS),
    ],
)
def test_what_cannot_be_streamed_says_why_and_gives_the_same_labels(
    build: Callable[..., Any], reason: str, pre: Any, post: Any, inferer: Any
) -> None:
    turned = np.array([[0.9, -0.5, 0, 3.0], [0.5, 0.9, 0, 1.0], [0, 0, 2.0, 0], [0, 0, 0, 1]])
    case = build(pre, post, inferer, shape=(10, 12, 14), affine=turned)
    assert reason in case.why_not()
    region = (slice(2, 6), slice(0, 9), slice(4, 12))
    expected = case.by_monai().array
    np.testing.assert_array_equal(case.streamed().array, expected)
    found = case.streamed(region=region).array
    np.testing.assert_array_equal(found[region], expected[region])
    assert found.sum() == expected[region].sum()


class _HalfSize(torch.nn.Module):
    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return torch.cat([windows, -windows], 1)[..., ::2, ::2, ::2]


def test_a_network_with_output_of_another_size_gives_what_monai_gives(build: Callable[..., Any]) -> None:
    case = build([SCALE], [ARGMAX], WINDOWS | {"overlap": 0.0}, shape=(12, 16, 16))
    assert case.why_not() == ""  # nobody can tell before it has run
    told: list[int] = []
    network = _HalfSize()
    found = case.streamed(network=network, on_window=told.append)
    assert told
    np.testing.assert_array_equal(found.array, case.by_monai(network=network).array)


def test_the_affine_of_a_float32_file_is_no_turn(build: Callable[..., Any]) -> None:
    """Oblique axes are rounded to 32 bits in a file; an image is not left unstreamed for that."""
    a, b = np.deg2rad([17.3, -8.9])
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = (about_z @ about_x @ np.diag([0.73, 0.73, 2.5])).astype(np.float32)
    case = build([ORIENTATION, SPACING, SCALE], [LINEAR, ARGMAX], WINDOWS, shape=SHAPE, affine=affine)
    assert case.why_not() == ""
    case.assert_equal_but_for_ties(case.streamed())


def test_weights_kept_by_the_inferer_are_used(build: Callable[..., Any]) -> None:
    case = build([SCALE], [ARGMAX], WINDOWS | {"cache_roi_weight_map": True}, shape=SHAPE)
    assert isinstance(case.pipeline.inferer, SlidingWindowInferer)
    case.pipeline.inferer.roi_weight_map = torch.rand(8, 8, 6) + 0.1
    np.testing.assert_array_equal(case.streamed().array, case.by_monai().array)


def test_labels_that_go_on_as_masks_are_those_of_monai(build: Callable[..., Any]) -> None:
    masks = {"_target_": "AsDiscreted", "keys": "pred", "argmax": True, "to_onehot": 4}
    case = build([SPACING, SCALE], [LINEAR, masks], WINDOWS, shape=SHAPE)
    assert case.why_not() == ""
    found = case.streamed()
    assert found.multilabel
    np.testing.assert_array_equal(found.array, case.by_monai().array)


def test_the_image_is_left_as_it_was(a_resampled_case: Any) -> None:
    before = a_resampled_case.volumes[0].array.copy()
    batch = a_resampled_case.pipeline.preprocess(a_resampled_case.volumes)
    image = batch["image"].clone()
    operations = len(batch["image"].applied_operations[0])
    from medai.engine.streaming.predict import predict

    first = predict(a_resampled_case.pipeline, batch, a_resampled_case.volumes[0])
    again = predict(a_resampled_case.pipeline, batch, replace(a_resampled_case.volumes[0]))
    np.testing.assert_array_equal(first.array, again.array)
    np.testing.assert_array_equal(before, a_resampled_case.volumes[0].array)
    assert torch.equal(image, batch["image"])
    assert len(batch["image"].applied_operations[0]) == operations
