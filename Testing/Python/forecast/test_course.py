"""Visits of one subject, and baselines that need no network."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest

from medai.errors import InputError
from medai.tasks.forecast.baselines import carried_forward, straight_line
from medai.tasks.forecast.course import Course, Visit


def test_visits_are_put_in_the_order_of_their_days():
    course = Course("A", (Visit(400, {"v": 2.0}), Visit(0, {"v": 1.0}), Visit(90, {})))
    assert course.days.tolist() == [0, 90, 400]
    np.testing.assert_array_equal(course.values(["v"])[:, 0], [1.0, math.nan, 2.0])


def test_two_visits_on_one_day_are_refused_by_their_date():
    with pytest.raises(InputError, match="2024-01-31"):
        Course("A", (Visit(30, {}), Visit(0, {}), Visit(30, {})), date(2024, 1, 1))


@pytest.mark.parametrize("day", [math.nan, math.inf])
def test_a_visit_without_a_date_is_refused(day):
    with pytest.raises(InputError, match="cannot be placed in time"):
        Course("A", (Visit(0, {}), Visit(day, {}, name="second")))


def test_an_infinite_value_is_refused_and_a_missing_one_is_not():
    assert Course("A", (Visit(0, {"v": math.nan}),)).visits[0].values == {}
    with pytest.raises(InputError, match="infinite"):
        Course("A", (Visit(0, {"v": math.inf}),))


def test_a_subject_without_visits_is_refused():
    with pytest.raises(InputError, match="no visit"):
        Course("A", ())


def test_the_last_known_value_is_carried_forward():
    assert carried_forward(np.array([1.0, 2.0, math.nan])) == 2.0
    assert math.isnan(carried_forward(np.array([math.nan])))


def test_a_straight_line_goes_through_known_values_only():
    days, values = np.array([0.0, 100.0, 200.0, 300.0]), np.array([1.0, math.nan, 3.0, math.nan])
    assert straight_line(days, values, [400.0]) == pytest.approx([5.0])
    assert straight_line(days[:2], values[:2], [400.0]) == pytest.approx([1.0])
