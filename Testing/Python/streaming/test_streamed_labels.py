"""Streamed labels are MONAI's own, whatever the geometry, the windows and the postprocessing."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ARGMAX = {"_target_": "AsDiscreted", "keys": "pred", "argmax": True}
INVERT = {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "image"}
SOFTMAX = {"_target_": "Activationsd", "keys": "pred", "softmax": True}
SIGMOID = {"_target_": "Activationsd", "keys": "pred", "sigmoid": True}
HALF = {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5}
SCALE = {"_target_": "ScaleIntensityd", "keys": "image", "minv": -1.0, "maxv": 1.0}
FOREGROUND = {"_target_": "CropForegroundd", "keys": "image", "source_key": "image", "margin": 1, "allow_smaller": True}
WINDOWS = {"roi_size": [12, 10, 8], "sw_batch_size": 2, "overlap": 0.5, "mode": "gaussian"}

LINEAR = INVERT | {"nearest_interp": False}
NEAREST = INVERT | {"nearest_interp": True}
POSTPROCESSINGS: dict[str, tuple[list[dict[str, Any]], float | None]] = {
    "argmax on the model's grid": ([ARGMAX], None),
    "argmax of interpolated values": ([LINEAR, ARGMAX], None),
    "argmax of nearest values": ([NEAREST, ARGMAX], None),
    "labels brought back": ([ARGMAX, NEAREST], None),
    "softmax, then interpolation": ([SOFTMAX, LINEAR, ARGMAX], None),
    "interpolation, then softmax": ([LINEAR, SOFTMAX, ARGMAX], None),
    "several labels per voxel": ([SIGMOID, LINEAR, HALF], 0.5),
    "several labels per voxel, activated last": ([LINEAR, SIGMOID, HALF], 0.5),
    "several labels on the nearest voxel": ([SIGMOID, NEAREST, HALF], 0.5),
}


def _pointing(axes: tuple[int, ...], flips: tuple[bool, ...], spacing: tuple[float, ...], turn: float) -> np.ndarray:
    """An affine whose axes point anywhere, turned a little away from the patient's."""
    c, s = np.cos(turn), np.sin(turn)
    turned = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    affine = np.eye(4)
    signs = np.where(flips, -1.0, 1.0)
    affine[:3, :3] = turned @ np.eye(3)[:, list(axes)] @ np.diag(signs * np.array(spacing))
    affine[:3, 3] = (12.0, -7.5, 30.25)
    return affine


@st.composite
def geometries(draw: st.DrawFn) -> dict[str, Any]:
    """An image's grid and what a preprocessing does to it."""
    spacing = tuple(draw(st.sampled_from([0.7, 1.0, 1.3, 2.5])) for _ in range(3))
    affine = _pointing(
        draw(st.sampled_from(list(permutations(range(3))))),
        draw(st.tuples(*[st.booleans()] * 3)),
        spacing,
        draw(st.sampled_from([0.0, 0.21])),
    )
    steps: list[dict[str, Any]] = []
    if draw(st.booleans()):
        steps.append(
            {"_target_": "Orientationd", "keys": "image", "axcodes": draw(st.sampled_from(["RAS", "LPS", "SAR"]))}
        )
    pixdim = draw(st.sampled_from([None, [1.0, 1.0, 1.0], [1.5, 0.8, 1.1], [2.0, 2.0, 0.7]]))
    if pixdim:
        spaced = {"_target_": "Spacingd", "keys": "image", "pixdim": pixdim, "mode": "bilinear"}
        steps.append(spaced | {"align_corners": draw(st.booleans())})
    elif draw(st.booleans()):
        mode, align = draw(
            st.sampled_from([("trilinear", False), ("trilinear", True), ("area", None), ("nearest", None)])
        )
        resized = {"_target_": "Resized", "keys": "image", "spatial_size": [17, 12, 15], "mode": mode}
        steps.append(resized | {"align_corners": align})
    more = {
        "flip": {"_target_": "Flipd", "keys": "image", "spatial_axis": draw(st.sampled_from([0, [0, 2], [1]]))},
        "foreground": FOREGROUND,
        "pad": {"_target_": "SpatialPadd", "keys": "image", "spatial_size": [20, 21, 18]},
        "divisible": {"_target_": "DivisiblePadd", "keys": "image", "k": 4},
        "crop or pad": {"_target_": "ResizeWithPadOrCropd", "keys": "image", "spatial_size": [14, 16, 13]},
        "border": {"_target_": "BorderPadd", "keys": "image", "spatial_border": [1, 0, 2]},
        "crop": {"_target_": "CenterSpatialCropd", "keys": "image", "roi_size": [11, -1, 9]},
    }
    for name in draw(st.lists(st.sampled_from(sorted(more)), max_size=2, unique=True)):
        steps.insert(draw(st.integers(0, len(steps))), more[name])
    return {"affine": affine, "pre": [*steps, SCALE], "shape": draw(st.tuples(*[st.integers(7, 19)] * 3))}


@st.composite
def inferers(draw: st.DrawFn) -> dict[str, Any]:
    """Windows, larger and smaller than the image."""
    return {
        "roi_size": [draw(st.sampled_from([6, 9, 12, 24, -1])) for _ in range(3)],
        "sw_batch_size": draw(st.integers(1, 4)),
        "overlap": draw(st.sampled_from([0.0, 0.25, 0.5, 0.75])),
        "mode": draw(st.sampled_from(["gaussian", "constant"])),
        "padding_mode": draw(st.sampled_from(["constant", "replicate"])),
    }


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    geometry=geometries(),
    inferer=inferers(),
    chosen=st.sampled_from(sorted(POSTPROCESSINGS)),
    budget=st.sampled_from([1, 1 << 40]),
)
def test_any_geometry_gives_the_labels_of_monai(
    build: Callable[..., Any], geometry: dict[str, Any], inferer: dict[str, Any], chosen: str, budget: int
) -> None:
    post, threshold = POSTPROCESSINGS[chosen]
    case = build(geometry["pre"], post, inferer, shape=geometry["shape"], affine=geometry["affine"])
    assert case.why_not() in ("", "its preprocessing interpolates twice along one axis")
    case.assert_equal_but_for_ties(case.streamed(budget_bytes=budget), threshold)


@pytest.mark.parametrize("chosen", sorted(POSTPROCESSINGS))
@pytest.mark.parametrize("planar", [False, True], ids=["a volume", "a slice"])
def test_every_postprocessing_is_streamed(build: Callable[..., Any], chosen: str, planar: bool) -> None:
    post, threshold = POSTPROCESSINGS[chosen]
    pixdim = [1.4, 1.2] if planar else [1.4, 1.2, 1.7]
    pre = [{"_target_": "Spacingd", "keys": "image", "pixdim": pixdim}, FOREGROUND, SCALE]
    windows = WINDOWS | {"roi_size": WINDOWS["roi_size"][: len(pixdim)]}
    case = build(pre, post, windows, planar=planar, shape=(1, 25, 31) if planar else (14, 22, 18))
    assert case.why_not() == ""
    assert len(np.unique(case.by_monai().array)) > 1
    case.assert_equal_but_for_ties(case.streamed(), threshold)
