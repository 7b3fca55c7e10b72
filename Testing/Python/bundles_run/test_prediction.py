"""From values on some grid to named labels on the input's grid."""

from __future__ import annotations

import numpy as np
import pytest

from medai.bundles.memory_io import Saved
from medai.bundles.prediction import Prediction, smallest_unsigned, to_labelmap, to_prediction
from medai.errors import BundleError
from medai.result import Labelmap, Segment
from medai.volume import Volume
from small_bundles import OBLIQUE


def _segments(*names, layered=False):
    return tuple(Segment(name, 1 if layered else n, layer=n - 1 if layered else 0) for n, name in enumerate(names, 1))


def test_labels_on_the_inputs_grid_are_taken_as_they_are():
    labels = np.random.default_rng(0).integers(0, 3, (4, 3, 2, 1)).astype(np.uint8)
    reference = Volume(np.zeros((2, 3, 4)), OBLIQUE)
    prediction = to_prediction(Saved("pred", labels, OBLIQUE.astype(np.float32).astype(float)), reference)
    np.testing.assert_array_equal(prediction.array, labels[..., 0].transpose(2, 1, 0))
    np.testing.assert_array_equal(prediction.affine, OBLIQUE)
    assert not prediction.resampled


@pytest.mark.parametrize("flips", [(0,), (1,), (2,), (0, 1, 2)])
def test_labels_on_flipped_and_swapped_axes_come_back_exactly(flips):
    labels = np.random.default_rng(0).integers(0, 3, (2, 3, 4)).astype(np.uint8)  # (K, J, I)
    reference = Volume(labels, OBLIQUE)
    turn = np.eye(4)
    file = labels.transpose(2, 1, 0)
    for axis in flips:
        turn[axis, axis] = -1
        turn[axis, 3] = file.shape[axis] - 1
    swap = np.eye(4)[[1, 0, 2, 3]]
    file = np.flip(file, flips).transpose(1, 0, 2)[..., np.newaxis]
    prediction = to_prediction(Saved("pred", file, OBLIQUE @ turn @ swap), reference)
    np.testing.assert_array_equal(prediction.array, labels)
    assert prediction.resampled


def test_a_coarser_result_is_brought_back_by_nearest_neighbour():
    coarse = np.zeros((4, 3, 2, 1), np.uint8)
    coarse[1, 1, 1] = 2
    reference = Volume(np.zeros((4, 6, 8)), np.eye(4))
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = 0.5
    prediction = to_prediction(Saved("pred", coarse, affine), reference)
    expected = np.zeros((4, 6, 8), np.uint8)
    expected[2:4, 2:4, 2:4] = 2
    np.testing.assert_array_equal(prediction.array, expected)


@pytest.mark.parametrize(("highest", "dtype"), [(1, np.uint8), (255, np.uint8), (256, np.uint16), (70000, np.uint32)])
def test_labels_take_the_smallest_type_that_holds_them(highest, dtype):
    for given in (np.float32, np.int32, np.float64):
        found = smallest_unsigned(np.array([0, highest], given))
        assert found.dtype == dtype
        assert found.tolist() == [0, highest]


@pytest.mark.parametrize("values", [[0.0, 0.3], [-1.0, 1.0], [0.0, np.nan], [0.0, np.inf]])
def test_what_is_no_label_is_refused(values):
    with pytest.raises(BundleError, match="not labels"):
        smallest_unsigned(np.array(values))


def test_unnamed_labels_are_not_lost():
    labelmap = to_labelmap(Prediction(np.array([[[0, 1, 7]]], np.uint8), np.eye(4)), _segments("a"), "x")
    assert [(s.name, s.value) for s in labelmap.segments] == [("a", 1), ("Label 7", 7)]


def test_each_channel_of_a_multilabel_model_is_a_layer():
    array = np.array([[[[1, 1, 0]]], [[[0, 1, 0]]]], np.uint8)
    labelmap = to_labelmap(Prediction(array, np.eye(4)), _segments("whole", "core", layered=True), "x")
    assert [(s.name, s.value, s.layer) for s in labelmap.segments] == [("whole", 1, 0), ("core", 1, 1)]
    assert labelmap.mask(labelmap.segments[1]).tolist() == [[[False, True, False]]]


def test_a_background_channel_makes_no_segment():
    array = np.array([[[[0, 0, 1]]], [[[1, 1, 0]]], [[[0, 1, 0]]]], np.uint8)
    labelmap = to_labelmap(Prediction(array, np.eye(4)), _segments("a", "b"), "x")
    assert [segment.name for segment in labelmap.segments] == ["a", "b"]
    assert labelmap.mask(labelmap.segments[0]).tolist() == [[[True, True, False]]]
    assert labelmap.mask(labelmap.segments[1]).tolist() == [[[False, True, False]]]


def test_argmax_over_channels_of_which_none_is_called_background_gives_the_channels_number():
    segments = tuple(Segment(name, 1, layer=n) for n, name in enumerate(("other", "liver", "spleen")))
    labelmap = to_labelmap(Prediction(np.array([[[0, 1, 2]]], np.uint8), np.eye(4)), segments, "x")
    assert [(s.name, s.value, s.layer) for s in labelmap.segments] == [("liver", 1, 0), ("spleen", 2, 0)]


def test_255_for_yes_is_label_1():
    labelmap = to_labelmap(Prediction(np.array([[[0, 255]]], np.uint8), np.eye(4)), _segments("tool"), "x")
    assert labelmap.array.tolist() == [[[0, 1]]]
    assert [segment.name for segment in labelmap.segments] == ["tool"]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.uint32])
def test_every_structure_has_the_volume_of_its_voxels(kind):
    layers = np.random.default_rng(0).integers(0, 4, (2, 5, 6, 7)).astype(kind)
    segments = tuple(Segment(f"{layer} {value}", value, layer=layer) for layer in (0, 1) for value in (1, 3, 9))
    counts = Labelmap(layers, OBLIQUE, segments).voxel_counts()
    assert counts == tuple(np.count_nonzero(layers[one.layer] == one.value) for one in segments)
