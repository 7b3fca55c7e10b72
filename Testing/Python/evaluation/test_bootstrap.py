"""Intervals against scipy, and that patients are drawn, not images."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from medai.errors import InputError
from medai.training.evaluation import Bootstrap, Undefined, interval, intervals, paired_difference


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_intervals_equal_scipy(rng, method):
    values = rng.exponential(size=40)
    found = interval(np.mean, [values], how=Bootstrap(resamples=400, seed=5, method=method))
    other = stats.bootstrap(
        (values,), np.mean, n_resamples=400, method=method, rng=np.random.default_rng(5), vectorized=True
    ).confidence_interval
    assert found.value == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((other.low, other.high), rel=1e-6)


def test_images_of_a_patient_are_drawn_together():
    # Ten copies of each of five patients hold no more information than the five.
    values = np.array([0.1, 0.4, 0.5, 0.8, 0.9])
    once = interval(np.mean, [values], how=Bootstrap(300))
    often = interval(np.mean, [np.repeat(values, 10)], groups=np.repeat(np.arange(5), 10).tolist(), how=Bootstrap(300))
    assert (once.low, once.high) == pytest.approx((often.low, often.high))
    alone = interval(np.mean, [np.repeat(values, 10)], how=Bootstrap(300))
    assert alone.high - alone.low < (often.high - often.low) / 2


def test_every_draw_takes_whole_patients():
    seen = []

    def count(values):
        seen.append(np.bincount(values, minlength=3))
        return 0.0

    patients = np.array([0, 0, 0, 1, 2, 2])
    interval(count, [patients], groups=patients.tolist(), how=Bootstrap(20))
    sizes = np.array([3, 1, 2])
    assert all((draw % sizes == 0).all() and (draw // sizes).sum() == 3 for draw in seen)
    assert any((draw != sizes).any() for draw in seen[1:])


def test_the_same_seed_gives_the_same_interval(rng):
    values = rng.normal(size=30)
    first, again, other = (interval(np.median, [values], how=Bootstrap(50, seed=s)) for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_metrics_see_the_same_draw(rng):
    values = rng.normal(size=20)
    found = intervals(lambda v: {"a": v.mean(), "b": 2 * v.mean()}, [values], how=Bootstrap(40))
    assert found["b"].low == pytest.approx(2 * found["a"].low)


def test_the_difference_of_paired_models_is_sharper_than_their_intervals(rng):
    hard = rng.normal(size=50)
    one, other = hard + 0.2 + rng.normal(size=50) * 0.05, hard
    found = paired_difference(np.mean, [one], [other], how=Bootstrap(200))
    assert found.value == pytest.approx((one - other).mean())
    assert 0.15 < found.low < found.value < found.high < 0.25
    alone = interval(np.mean, [one], how=Bootstrap(200))
    assert alone.high - alone.low > 5 * (found.high - found.low)


@settings(max_examples=25, deadline=None)
@given(arrays(np.float64, st.integers(2, 12), elements=st.floats(-100, 100, width=32)))
def test_the_interval_of_a_mean_contains_the_mean(values):
    found = interval(np.mean, [values], how=Bootstrap(resamples=400))
    assert isinstance(found.low, Undefined) or found.low - 1e-9 <= found.value <= found.high + 1e-9


def test_cases_that_all_say_the_same_leave_the_next_one_open():
    found = interval(np.mean, [np.ones(8)], how=Bootstrap(resamples=100))
    assert found.value == 1
    assert "say the same" in found.low.reason


def test_one_patient_has_a_value_but_no_interval():
    found = interval(np.mean, [np.array([0.2, 0.4])], groups=["p", "p"])
    assert found.value == pytest.approx(0.3)
    assert isinstance(found.low, Undefined)
    assert found.low.reason == "one patient only"


def test_draws_in_which_the_metric_does_not_exist_are_left_out():
    def mean_of_positive(values):
        kept = values[values > 0]
        return float(kept.mean()) if kept.size else math.nan

    often = interval(mean_of_positive, [np.array([1.0, 2.0, -1.0, -1.0])], how=Bootstrap(200))
    assert 1 <= often.low <= often.high <= 2
    one = interval(lambda v: 1.0 if len(set(v)) > 7 else math.nan, [np.arange(8.0)], how=Bootstrap(200))
    assert one.value == 1
    assert "most draws" in one.low.reason


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: interval(np.mean, [np.empty(0)]), "no case"),
        (lambda: interval(np.mean, [np.ones(3), np.ones(2)]), "3 of array 1, 2 of array 2"),
        (lambda: interval(np.mean, [np.ones(3)], groups=["a"]), "1 of patients"),
        (lambda: paired_difference(np.mean, [np.ones(3)], [np.ones(4)]), "do not belong together"),
        (lambda: Bootstrap(resamples=0), "at least one draw"),
        (lambda: Bootstrap(confidence=95), "between 0 and 1"),
    ],
)
def test_input_without_an_interval_is_explained(call, said):
    with pytest.raises(InputError, match=said):
        call()
