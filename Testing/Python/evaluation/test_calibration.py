"""Calibration against scikit-learn, scipy and cases computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from medai.errors import InputError
from medai.training.evaluation import calibration


@pytest.fixture
def outcomes_and_probabilities(rng):
    p = np.round(rng.random(300), 3)
    return (rng.random(300) < p**2).astype(float), p


@pytest.mark.parametrize(("adaptive", "strategy"), [(False, "uniform"), (True, "quantile")])
def test_the_reliability_curve_equals_scikit_learn(outcomes_and_probabilities, adaptive, strategy):
    y, p = outcomes_and_probabilities
    found = calibration.reliability(y, p, 8, adaptive=adaptive)
    observed, predicted = calibration_curve(y, p, n_bins=8, strategy=strategy)
    np.testing.assert_allclose(found.observed, observed)
    np.testing.assert_allclose(found.predicted, predicted)
    assert found.count.sum() == 300


def test_the_calibration_error_equals_a_case_computed_by_hand():
    # Bins 0 to 0.5 and 0.5 to 1: means 0.3 and 0.8, fractions 1/2 and 1, two cases each.
    assert calibration.expected_calibration_error([0, 1, 1, 1], [0.2, 0.4, 0.7, 0.9], 2) == pytest.approx(
        (0.2 * 2 + 0.2 * 2) / 4
    )


def test_probabilities_that_keep_their_word_have_no_calibration_error():
    assert calibration.expected_calibration_error([0, 1, 1, 1, 0, 0, 0, 1], [0.75] * 4 + [0.25] * 4, 10) == 0


def test_missing_labels_are_left_out_of_the_calibration(outcomes_and_probabilities):
    y, p = outcomes_and_probabilities
    known = calibration.expected_calibration_error(y, p)
    with_gaps = calibration.expected_calibration_error(np.append(y, [np.nan] * 5), np.append(p, [0.9] * 5))
    assert with_gaps == pytest.approx(known)
    assert math.isnan(calibration.brier_score([np.nan], [0.4]))


def test_the_brier_score_equals_scikit_learn(outcomes_and_probabilities, rng):
    y, p = outcomes_and_probabilities
    assert calibration.brier_score(y, p) == pytest.approx(brier_score_loss(y, p))
    classes, several = rng.integers(0, 3, 40), softmax(rng.normal(size=(40, 3)), axis=1)
    by_hand = np.mean([sum((several[n] - np.eye(3)[c]) ** 2) for n, c in enumerate(classes)])
    assert calibration.brier_score(classes, several) == pytest.approx(by_hand)


def test_the_top_label_is_what_the_model_would_choose():
    right, sure = calibration.top_label([0, 2], [[0.6, 0.3, 0.1], [0.2, 0.5, 0.3]])
    assert (right.tolist(), sure.tolist()) == ([1, 0], [0.6, 0.5])


def test_the_temperature_of_a_binary_model_equals_another_optimiser(rng):
    z = rng.normal(size=400) * 4
    y = (rng.random(400) < expit(z / 3)).astype(float)
    best = minimize_scalar(lambda t: log_loss(y, expit(z / t)), bounds=(0.1, 20), method="bounded")
    found = calibration.fit_temperature(z, y)
    assert found == pytest.approx(best.x, rel=1e-3)
    assert 2 < found < 4.5
    before, after = (calibration.expected_calibration_error(y, expit(z / t)) for t in (1, found))
    assert after < before


def test_the_temperature_of_several_classes_equals_another_optimiser(rng):
    z = rng.normal(size=(300, 4)) * 5
    y = np.array([rng.choice(4, p=row) for row in softmax(z / 2, axis=1)])
    best = minimize_scalar(
        lambda t: -log_softmax(z / t, axis=1)[np.arange(300), y].mean(), bounds=(0.1, 20), method="bounded"
    )
    assert calibration.fit_temperature(z, y) == pytest.approx(best.x, rel=1e-3)


def test_the_temperature_ignores_missing_labels(rng):
    z = rng.normal(size=(200, 2)) * 3
    y = (rng.random((200, 2)) < expit(z / 2)).astype(float)
    y[:50, 1] = np.nan
    known = ~np.isnan(y)
    assert calibration.fit_temperature(z, y) == pytest.approx(calibration.fit_temperature(z[known], y[known]))


def test_a_model_without_mistakes_gets_a_temperature_with_an_end():
    low, high = calibration.TEMPERATURES
    assert low <= calibration.fit_temperature([-3.0, 4.0], [0, 1]) < 1
    assert 1 < calibration.fit_temperature([-3.0, 4.0], [1, 0]) <= high


def test_a_temperature_keeps_the_order_of_cases(rng):
    z = rng.normal(size=(20, 3))
    p = calibration.calibrated(z, 2.5, exclusive=True)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_array_equal(p.argmax(axis=1), z.argmax(axis=1))
    np.testing.assert_allclose(calibration.calibrated(z, 2.5, exclusive=False), expit(z / 2.5))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: calibration.brier_score([1], [1.5]), "0 to 1 is possible"),
        (lambda: calibration.expected_calibration_error([1, 0], [0.5]), "one prediction for every label"),
        (lambda: calibration.fit_temperature([], []), "no case"),
        (lambda: calibration.fit_temperature([1.0], [np.nan]), "no case"),
        (lambda: calibration.fit_temperature([[1.0, 2.0]], [0, 1]), "2 of reference labels, 1 of logits"),
        (lambda: calibration.calibrated([1.0], 0, exclusive=False), "above 0"),
    ],
)
def test_input_that_cannot_be_calibrated_is_explained(call, said):
    with pytest.raises(InputError, match=said):
        call()
