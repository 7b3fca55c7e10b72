"""Masks against MONAI, scipy and cubes computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance
from scipy import ndimage

from medai.errors import GeometryError
from medai.training.evaluation.segmentation import segmentation_metrics

pytestmark = pytest.mark.filterwarnings("ignore:.*always_return_as_numpy.*:FutureWarning")

SPACING = (3.0, 0.8, 0.5)


@pytest.fixture
def two_blobs(rng):
    noise = ndimage.gaussian_filter(rng.normal(size=(14, 20, 22)), 2)
    return noise > 0.02, np.roll(noise, (1, 2, 0), (0, 1, 2)) > 0.03


def test_metrics_equal_monai_with_physical_spacing(two_blobs):
    y, p = two_blobs
    found = segmentation_metrics(y, p, SPACING)
    tensors = [torch.as_tensor(m[None, None].astype(np.float32)) for m in (p, y)]
    assert found["dice"] == pytest.approx(compute_dice(*tensors).item())
    asd = compute_average_surface_distance(*tensors, include_background=True, symmetric=True, spacing=SPACING)
    assert found["surface_distance_mm"] == pytest.approx(asd.item(), rel=1e-5)
    hd = compute_hausdorff_distance(*tensors, include_background=True, percentile=95, spacing=SPACING)
    assert found["hd95_mm"] == pytest.approx(hd.item(), rel=1e-5)


def test_surface_distances_equal_a_distance_transform(two_blobs):
    y, p = two_blobs
    edges = [m & ~ndimage.binary_erosion(m) for m in (y, p)]
    to = [ndimage.distance_transform_edt(~e, sampling=SPACING) for e in edges]
    directed = [to[0][edges[1]], to[1][edges[0]]]
    found = segmentation_metrics(y, p, SPACING)
    assert found["surface_distance_mm"] == pytest.approx(np.concatenate(directed).mean(), rel=1e-5)
    assert found["hd95_mm"] == pytest.approx(max(np.percentile(d, 95) for d in directed), rel=1e-5)


def test_a_cube_moved_by_one_voxel_equals_the_numbers_by_hand(a_cube):
    y = a_cube().astype(bool)
    found = segmentation_metrics(y, np.roll(y, 1, axis=0), (2.0, 1.0, 1.0))
    assert found["dice"] == pytest.approx(5 / 6)
    assert found["hd95_mm"] == pytest.approx(2.0)  # the moved faces, more than 5 % of the surface
    assert found["volume_reference_ml"] == pytest.approx(216 * 2 / 1000)
    assert (found["volume_error_ml"], found["volume_error_percent"]) == (0, 0)


def test_a_volume_that_is_too_small_has_a_negative_error(a_cube):
    found = segmentation_metrics(a_cube(4, 10) > 0, a_cube(4, 9) > 0, (1.0, 1.0, 1.0))
    assert found["volume_error_ml"] == pytest.approx((125 - 216) / 1000)
    assert found["volume_error_percent"] == pytest.approx(100 * (125 - 216) / 216)


def test_a_perfect_prediction_has_dice_1_and_no_distance(two_blobs):
    found = segmentation_metrics(two_blobs[0], two_blobs[0], SPACING)
    assert (found["dice"], found["surface_distance_mm"], found["hd95_mm"]) == (1, 0, 0)


def test_swapping_reference_and_prediction_changes_only_the_sign_of_the_volume(two_blobs):
    one, other = segmentation_metrics(*two_blobs, SPACING), segmentation_metrics(*two_blobs[::-1], SPACING)
    for name in ("dice", "surface_distance_mm", "hd95_mm"):
        assert one[name] == pytest.approx(other[name])
    assert one["volume_error_ml"] == pytest.approx(-other["volume_error_ml"])


def test_what_is_absent_in_both_is_not_defined_and_says_so(a_cube):
    empty = np.zeros((16, 16, 16), bool)
    found = segmentation_metrics(empty, empty, (1, 1, 1))
    assert found["dice"].reason == found["hd95_mm"].reason == "absent in the reference and in the prediction"
    assert found["volume_error_ml"] == 0


@pytest.mark.parametrize(("missed", "reason"), [(True, "in the prediction"), (False, "in the reference")])
def test_a_missed_structure_and_a_false_alarm_have_dice_0_and_no_distance(a_cube, missed, reason):
    cube, empty = a_cube() > 0, np.zeros((16, 16, 16), bool)
    found = segmentation_metrics(*((cube, empty) if missed else (empty, cube)), (1, 1, 1))
    assert found["dice"] == 0
    assert math.isnan(found["hd95_mm"])
    assert reason in found["surface_distance_mm"].reason
    assert math.isnan(found["volume_error_percent"]) is not missed


def test_a_single_slice_is_compared_in_its_plane():
    y, p = np.zeros((2, 1, 20, 20), bool)
    y[0, 5:15, 5:15], p[0, 5:15, 6:16] = True, True
    flat = segmentation_metrics(y[0], p[0], (0.5, 0.7))
    found = segmentation_metrics(y, p, (4.0, 0.5, 0.7))
    assert found["surface_distance_mm"] == pytest.approx(flat["surface_distance_mm"])
    assert found["hd95_mm"] == pytest.approx(0.7)
    assert found["volume_reference_ml"] == pytest.approx(100 * 4 * 0.5 * 0.7 / 1000)


@pytest.mark.parametrize(("shape", "spacing"), [((4, 4, 5), (1, 1, 1)), ((4, 4, 4), (1, 1)), ((4, 4, 4), (1, 0, 1))])
def test_masks_on_different_grids_are_refused(shape, spacing):
    with pytest.raises(GeometryError, match="same grid"):
        segmentation_metrics(np.ones((4, 4, 4), bool), np.ones(shape, bool), spacing)
