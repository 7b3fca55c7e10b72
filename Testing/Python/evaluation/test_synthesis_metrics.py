"""What is said of synthetic images, against what can be worked out by hand or planted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import sqrtm

from medai.errors import InputError
from medai.training.evaluation.synthesis import (
    frechet_distance,
    frechet_with_floor,
    likeness_of_pairs,
    nearest,
    scales_of,
    told_apart,
)


def test_the_frechet_distance_is_that_of_two_normal_distributions(rng):
    a = rng.normal(0, 1, (400, 3)) @ np.array([[1, 0.5, 0], [0, 1, 0.2], [0, 0, 2]])
    b = rng.normal(0.7, 1.5, (300, 3))
    product = sqrtm(np.cov(a.T) @ np.cov(b.T)).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * product)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


def test_along_one_axis_it_is_the_difference_of_means_and_of_deviations(rng):
    # Without covariances: (3 - 0)^2 + (2 - 1)^2, beside a second number that is the same in both.
    x = rng.normal(0, 1, 4000)
    x = (x - x.mean()) / x.std(ddof=1)
    y = rng.normal(0, 1, 4000)
    y -= (y @ x) / (x @ x) * x + y.mean()
    one, other = np.column_stack([x, y]), np.column_stack([3 + 2 * x, y])
    assert frechet_distance(one, other) == pytest.approx(9 + 1, abs=1e-6)


def test_the_same_images_have_no_distance(rng):
    features = rng.normal(0, 1, (50, 6))
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-6)


def test_images_of_the_same_kind_are_as_far_as_real_ones_are_from_each_other(rng):
    real, alike, other = (rng.normal(shift, 1, (80, 4)) for shift in (0, 0, 2))
    same, apart = (frechet_with_floor(made, real, draws=30) for made in (alike, other))
    assert same["fid"].low < same["fid_real"].value < same["fid"].high
    assert apart["fid"].low > apart["fid_real"].high
    assert apart["fid"].value == pytest.approx(4 * 2**2, rel=0.2)


def test_too_few_images_have_no_frechet_distance(rng):
    assert np.isnan(frechet_with_floor(rng.normal(size=(2, 3)), rng.normal(size=(3, 3)))["fid"].value)


@pytest.mark.parametrize("shape", [(16, 16), (40, 24), (12, 14, 16)])
def test_a_generator_that_repeats_itself_has_a_likeness_of_one(rng, shape):
    one = rng.random(shape, np.float32)
    varied = rng.random((6, *shape), np.float32)
    assert likeness_of_pairs(np.stack([one] * 6)) == pytest.approx(np.ones(3), abs=1e-5)
    assert likeness_of_pairs(varied).mean() < 0.5


def test_likeness_of_images_too_small_for_two_scales_is_structural_similarity(rng):
    a, b = (rng.random((5, 6)).astype(np.float32) for _ in range(2))
    b = 0.7 * a + 0.3 * b
    assert scales_of(a.shape) == (3, 1)
    weights = np.exp(-np.array([1, 0, 1]) / (2 * 1.5**2))
    weights = np.outer(weights, weights) / weights.sum() ** 2
    x, y = (np.lib.stride_tricks.sliding_window_view(image.astype(float), (3, 3)) for image in (a, b))

    def mean(values):
        return (values * weights).sum(axis=(-2, -1))

    covariance = mean(x * y) - mean(x) * mean(y)
    variances = mean(x * x) - mean(x) ** 2 + mean(y * y) - mean(y) ** 2
    bright = (2 * mean(x) * mean(y) + 1e-4) / (mean(x) ** 2 + mean(y) ** 2 + 1e-4)
    expected = (bright * (2 * covariance + 9e-4) / (variances + 9e-4)).mean()
    assert likeness_of_pairs(np.stack([a, b])) == pytest.approx([expected], abs=1e-4)


def test_windows_and_scales_fit_what_there_is():
    assert scales_of((256, 256)) == (7, 5)
    assert scales_of((3, 8)) == (3, 1)
    with pytest.raises(InputError):
        scales_of((2, 64))


def test_the_nearest_training_image_is_found_with_its_distance(rng):
    training = rng.random((9, 5, 6)).astype(np.float32)
    copies = training[[4, 7]].copy()
    copies[1] += 0.25
    which, apart = nearest(copies, training)
    assert which.tolist() == [4, 7]
    assert apart[0] == 0
    expected = np.sqrt(((copies[1] - training) ** 2).mean(axis=(1, 2))).min()
    assert apart[1] == pytest.approx(expected, rel=1e-5)


def test_a_copy_is_found_in_the_mirror_too(rng):
    training = rng.random((5, 4, 6)).astype(np.float32)
    mirrored = training[[3], :, ::-1]
    assert nearest(mirrored, training)[1][0] > 0.1
    which, apart = nearest(mirrored, training, mirrored=(2,))
    assert (which[0], apart[0]) == (3, 0)


def test_what_differs_is_told_apart_and_what_does_not_is_a_guess(rng):
    from sklearn.metrics import roc_auc_score

    real, alike, other = rng.normal(0, 1, (100, 5)), rng.normal(0, 1, (100, 5)), rng.normal(3, 1, (100, 5))
    assert roc_auc_score(*told_apart(other, real)) > 0.98
    assert 0.3 < roc_auc_score(*told_apart(alike, real)) < 0.7
