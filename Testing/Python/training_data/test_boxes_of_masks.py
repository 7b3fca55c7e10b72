from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from medai.errors import InputError, JobCancelled
from medai.training.data import boxes_of, read_data_list, with_boxes
from medai.volume import Volume, apply_affine


def _volume(array: np.ndarray, affine: np.ndarray | None = None) -> Volume:
    return Volume(array, np.eye(4) if affine is None else affine)


def test_a_box_reaches_from_edge_to_edge_of_its_voxels():
    array = np.zeros((6, 7, 8), np.uint8)
    array[1:3, 2:6, 3:4] = 1
    affine = np.diag([0.5, 2.0, 3.0, 1.0])
    affine[:3, 3] = [10, 20, 30]
    (found,) = boxes_of(_volume(array, affine))
    assert found.box == (3, 2, 1, 4, 6, 3)
    assert found.voxels == 8
    np.testing.assert_allclose(found.region.size, [0.5, 8, 6])
    np.testing.assert_allclose(found.region.center, [10 + 3 * 0.5, 20 + 3.5 * 2, 30 + 1.5 * 3])


def test_boxes_of_a_picture_have_two_axes():
    array = np.zeros((1, 10, 20), np.uint8)
    array[0, 3:5, 6:16] = 255
    (found,) = boxes_of(_volume(array))
    assert found.box == (6, 3, 16, 5)
    assert found.value == 255


def test_small_pieces_are_left_out_and_the_largest_is_first():
    array = np.zeros((1, 20, 20), np.uint8)
    array[0, 1, 1] = array[0, 4:6, 4:6] = array[0, 10:15, 10:15] = 1
    assert [box.voxels for box in boxes_of(_volume(array))] == [25, 4, 1]
    assert [box.voxels for box in boxes_of(_volume(array), smallest_voxels=2)] == [25, 4]
    assert [box.voxels for box in boxes_of(_volume(array), smallest_mm=3)] == [25]
    assert boxes_of(_volume(np.zeros_like(array))) == ()


def test_touching_values_are_one_piece_unless_told_apart():
    array = np.zeros((1, 4, 4), np.uint8)
    array[0, 0], array[0, 1] = 1, 2
    assert len(boxes_of(_volume(array))) == 1
    assert {box.value for box in boxes_of(_volume(array), by_value=True)} == {1, 2}


def test_a_colour_picture_is_no_mask():
    with pytest.raises(InputError, match="not a mask"):
        boxes_of(_volume(np.ones((1, 4, 4, 3), np.uint8)))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    shape=st.tuples(st.integers(1, 6), st.integers(2, 7), st.integers(2, 7)),
    sheared=st.booleans(),
)
def test_boxes_equal_those_of_scipy_and_hold_every_voxel_in_any_orientation(seed, shape, sheared):
    rng = np.random.default_rng(seed)
    array = (rng.random(shape) < 0.25).astype(np.uint8)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    affine = np.eye(4)
    affine[:3, :3] = rotation * rng.uniform(0.3, 4, 3)
    if sheared:
        affine[:3, :3] = affine[:3, :3] @ np.array([[1, 0.3, 0], [0, 1, 0], [0, 0.1, 1]])
    affine[:3, 3] = rng.normal(0, 50, 3)
    found = boxes_of(_volume(array, affine))
    labelled, _ = ndimage.label(array, np.ones((3, 3, 3)))
    axes = 2 if shape[0] == 1 else 3
    expected = {
        (*(float(s.start) for s in reversed(block)), *(float(s.stop) for s in reversed(block)))
        for block in ndimage.find_objects(labelled)
    }
    if axes == 2:
        expected = {(b[0], b[1], b[3], b[4]) for b in expected}
    assert {box.box for box in found} == expected
    voxels = apply_affine(affine, np.argwhere(array)[:, ::-1].astype(float))
    inside = np.array([box.region.contains(voxels) for box in found])
    assert inside.any(axis=0).all() if len(found) else not len(voxels)
    for box in found:
        np.testing.assert_allclose(box.region.axes.T @ box.region.axes, np.eye(3), atol=1e-3)


def test_masks_of_a_list_become_boxes_with_the_class_of_the_case(pictures_with_masks):
    data = read_data_list(pictures_with_masks, "boxes")
    assert data.task == "detect"
    found = {item.name: (item.values["box"], item.label) for item in data}
    assert found["benign_001"] == (((4.0, 2.0, 9.0, 6.0),), (0,))
    assert found["malignant_000"] == (((3.0, 2.0, 9.0, 6.0),), (1,))
    assert found["normal_000"] == ((), ())
    assert data[0].as_dict()["box"] == [[3.0, 2.0, 9.0, 6.0]]


def test_label_values_become_box_classes(volumes_with_labels):
    data = with_boxes(read_data_list(volumes_with_labels), by_value=True)
    assert data.label_names == {0: "Anterior", 1: "Posterior"}
    assert data[0].values["box"] == ((1, 1, 1, 3, 3, 3), (4, 4, 3, 5, 5, 4))
    assert data[0].label == (0, 1)
    assert data[4].values["box"] == ()


def test_making_boxes_can_be_cancelled(pictures_with_masks):
    def cancel(_progress) -> None:
        raise JobCancelled("Cancelled.")

    with pytest.raises(JobCancelled):
        with_boxes(read_data_list(pictures_with_masks), report=cancel)


def test_the_box_of_monai_is_the_same(save_nifti):
    monai_boxes = pytest.importorskip("monai.apps.detection.transforms.box_ops")
    array = np.zeros((9, 8, 7), np.uint8)  # (I, J, K)
    array[2:5, 1:7, 3] = 1
    path = save_nifti("mask.nii", array)
    labels = np.where(array, 0, -1)[np.newaxis]
    boxes, _ = monai_boxes.convert_mask_to_box(labels)
    (found,) = boxes_of(_volume(np.asarray(nib.load(path).dataobj).T.copy()))
    np.testing.assert_allclose(boxes[0], found.box)
