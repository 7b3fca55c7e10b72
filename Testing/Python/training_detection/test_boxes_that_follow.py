"""Boxes stay around what they are around, whatever is done to the image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.transforms import Affined, Compose, Flipd, Orientationd, Resized, Spacingd, SpatialCropd, SpatialPadd

from medai.training.components.boxes import BoxesAtCenters, BoxesOnGrid, BoxesStay

STEPS = {
    "turned to other axes": Orientationd("image", axcodes="RAS"),
    "resampled": Spacingd("image", pixdim=(1.5, 1.0, 2.0), mode="nearest"),
    "flipped": Flipd("image", spatial_axis=1),
    "padded": SpatialPadd("image", spatial_size=(40, 36, 30)),
    "cropped": SpatialCropd("image", roi_start=(2, 3, 1), roi_end=(40, 40, 40)),
    "made larger": Affined("image", scale_params=(0.8, 0.8, 0.8), mode="nearest", padding_mode="zeros"),
}


def a_case(affine: np.ndarray, start: tuple[int, ...], edges: tuple[int, ...], shape=(28, 26, 20)) -> dict:
    """An image that is 1 within one box and 0 elsewhere."""
    image = torch.zeros(1, *shape)
    inside = tuple(slice(a, a + b) for a, b in zip(start, edges, strict=True))
    image[(0, *inside)] = 1
    box = [float(v) for v in (*start, *(a + b for a, b in zip(start, edges, strict=True)))]
    placed = MetaTensor(image, affine=torch.as_tensor(affine))
    placed.meta["original_affine"] = torch.as_tensor(affine)
    return {"image": placed, "box": [box], "label": [0]}


def bright_box(image: torch.Tensor) -> np.ndarray:
    """From the lowest to just above the highest voxel that is bright."""
    found = np.argwhere(np.asarray(image[0]) > 0.5)
    return np.concatenate([found.min(axis=0), found.max(axis=0) + 1])


@st.composite
def affines(draw) -> np.ndarray:
    """Of images stored along any axes, in either direction, with any spacing, turned a little."""
    axes = draw(st.permutations([0, 1, 2]))
    signs = draw(st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3))
    spacing = draw(st.tuples(*[st.sampled_from([0.8, 1.0, 2.0])] * 3))
    angle = draw(st.floats(0, 0.6))
    affine = np.eye(4)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine[:3, :3] = turn @ (np.eye(3)[axes] * signs) @ np.diag(spacing)
    affine[:3, 3] = 7, -3, 11
    return affine


@pytest.mark.parametrize("name", STEPS)
@given(affine=affines(), start=st.tuples(*[st.integers(5, 9)] * 3), edges=st.tuples(*[st.integers(4, 8)] * 3))
@settings(max_examples=12, deadline=None)
def test_a_box_is_still_around_its_finding_when_the_image_is(name, affine, start, edges):
    moved = BoxesOnGrid(smallest=0, least=0)(STEPS[name](a_case(affine, start, edges)))
    # Nearest neighbours show an edge to half a voxel, and a voxel's own width when it is resampled.
    np.testing.assert_allclose(moved["box"][0], bright_box(moved["image"]), atol=1.01)


def test_steps_one_after_the_other_move_a_box_as_all_at_once():
    case = a_case(np.diag([-1.0, 1, 2, 1]), (6, 7, 5), (8, 6, 4))
    steps = [STEPS[name] for name in ("turned to other axes", "flipped", "padded")]
    at_once = BoxesOnGrid()(Compose(steps)(dict(case)))
    one_by_one = Compose([part for step in steps for part in (step, BoxesOnGrid())])(dict(case))
    torch.testing.assert_close(one_by_one["box"], at_once["box"])
    torch.testing.assert_close(at_once["box"][0], torch.as_tensor(bright_box(at_once["image"]), dtype=torch.float32))


def test_a_picture_that_is_resized_takes_its_boxes_along():
    picture = torch.zeros(1, 60, 40)
    picture[0, 12:24, 20:32] = 1
    image = MetaTensor(picture, affine=torch.eye(4), meta={"original_affine": torch.eye(4)})
    case = Resized("image", spatial_size=30, size_mode="longest", mode="nearest")({"image": image})
    moved = BoxesOnGrid()({**case, "box": [[12.0, 20.0, 24.0, 32.0]], "label": [2]})
    assert moved["box"].tolist() == [[6, 10, 12, 16]]
    assert moved["label"].tolist() == [2]
    assert moved["box"].dtype == torch.float32


def test_a_turned_box_does_not_grow_by_its_empty_corners():
    case = a_case(np.eye(4), (8, 8, 8), (8, 8, 4))
    turned = Affined("image", rotate_params=(0, 0, np.pi / 4), padding_mode="zeros")(case)
    low, high = BoxesOnGrid()(turned)["box"][0].reshape(2, 3)
    # The corners of a square that is turned by 45 degrees reach 1.41 times as far as its sides.
    np.testing.assert_allclose(high - low, [8, 8, 4], atol=0.01)


def test_what_is_hardly_in_the_image_any_more_is_left_out():
    case = a_case(np.eye(4), (2, 8, 8), (8, 8, 4))
    case["box"].append([14.0, 8.0, 8.0, 20.0, 14.0, 12.0])
    case["label"].append(1)
    cut = SpatialCropd("image", roi_start=(8, 0, 0), roi_end=(28, 26, 20))(case)
    assert BoxesOnGrid()(dict(cut))["label"].tolist() == [1], "a quarter of the first box is left"
    assert BoxesOnGrid(least=0.2)(dict(cut))["label"].tolist() == [0, 1]


def test_an_image_without_any_finding_has_no_boxes_in_their_shape():
    case = a_case(np.eye(4), (2, 8, 8), (8, 8, 4)) | {"box": [], "label": []}
    moved = BoxesOnGrid()(case)
    assert moved["box"].shape == (0, 6)
    assert moved["label"].shape == (0,)


def test_boxes_that_a_transform_moved_itself_are_not_moved_again():
    case = BoxesOnGrid()(a_case(np.eye(4), (8, 8, 8), (8, 8, 4)))
    cut = SpatialCropd("image", roi_start=(4, 4, 4), roi_end=(28, 26, 20))(case)
    cut["box"] = cut["box"] - 4
    stayed = BoxesOnGrid()(BoxesStay()(cut))
    torch.testing.assert_close(stayed["box"], cut["box"])


def test_the_affine_of_an_image_takes_its_boxes_to_where_they_are_in_the_end():
    case = BoxesOnGrid()(a_case(np.eye(4), (8, 8, 8), (8, 8, 4)))
    last = BoxesAtCenters()(case)
    assert last["box"].tolist() == [[7.5, 7.5, 7.5, 15.5, 15.5, 11.5]], "voxel 8 is a millimetre wide, about 8.0"
    assert set(last) == {"image", "box", "label", "name"}
