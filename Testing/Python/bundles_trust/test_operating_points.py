"""What a bundle says of where it decides."""

from __future__ import annotations

import math

import pytest

from medai.bundles.operating_points import operating_points_of

CLASSES = ("normal", "lesion")
GOOD = {"name": "lesion", "threshold": 0.4, "sensitivity": 0.9, "specificity": 0.8, "cases": 50, "rule": "Youden's J"}


def points(given: object):
    return operating_points_of({"medai": {"operating_point": given}}, CLASSES)


def test_one_point_or_a_list_of_them_is_read():
    (point,) = points(GOOD)
    assert points([GOOD]) == (point,)
    assert point.as_json() == GOOD
    assert str(point) == "lesion from 0.4 on (Youden's J; sensitivity 0.90, specificity 0.80 on 50 validation cases)"


def test_what_is_not_told_is_not_made_up():
    (point,) = points({"name": "lesion", "threshold": 0})
    assert math.isnan(point.sensitivity)
    assert str(point) == "lesion from 0 on"


@pytest.mark.parametrize(
    "given",
    [
        None,
        "0.4",
        [[0.4]],
        {},
        GOOD | {"name": "cat"},
        GOOD | {"name": None},
        GOOD | {"threshold": 1.5},
        GOOD | {"threshold": math.nan},
        GOOD | {"threshold": True},
        GOOD | {"threshold": "0.4"},
    ],
)
def test_what_names_no_class_or_no_threshold_is_left_out(given):
    assert points(given) == ()


def test_numbers_that_cannot_be_are_not_shown():
    (point,) = points(GOOD | {"sensitivity": 3, "cases": -1, "rule": "a\nb\u202ec"})
    assert math.isnan(point.sensitivity)
    assert point.cases == 0
    assert point.rule == "a bc"
