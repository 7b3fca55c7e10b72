"""Images become visits: who says when, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medai.errors import InputError
from medai.visits import as_date, date_in, in_order
from medai.volume import Series, Volume

DAYS = st.dates(date(1901, 1, 1), date(2099, 12, 31))


def a_frame(name: str = "image", day: date | None = None, size: int = 4) -> Volume:
    return Volume(np.zeros((size, size, size), np.uint8), np.eye(4), name, date=day)


@given(st.lists(DAYS, min_size=2, max_size=6, unique=True))
def test_visits_are_sorted_by_their_dates_and_know_the_days_between(days):
    series = in_order(Series(tuple(a_frame(str(n), day) for n, day in enumerate(days))))
    assert list(series.dates) == sorted(days)
    assert series.index == series.days == tuple(float((day - min(days)).days) for day in sorted(days))
    assert series.unit == "days"


def test_visits_may_differ_in_size():
    series = in_order(Series((a_frame(day=date(2020, 1, 1), size=4), a_frame(day=date(2019, 1, 1), size=6))))
    assert [frame.shape[0] for frame in series.frames] == [6, 4]


@given(
    DAYS,
    st.sampled_from(["{:%Y-%m-%d}", "{:%Y%m%d}", "{:%Y/%m/%d}", "{:%Y.%m.%d}", "{:%Y-%m-%d}T10:30:00", "{:%d.%m.%Y}"]),
)
def test_a_date_is_read_as_people_and_archives_write_it(day, pattern):
    assert as_date(pattern.format(day)) == day


def test_dates_of_python_are_dates():
    assert as_date(datetime(2024, 3, 31, 12)) == as_date(date(2024, 3, 31)) == date(2024, 3, 31)


@pytest.mark.parametrize("text", ["31.03.24", "2024-02-31", "03/04/2024", "soon", "", "2024111", "2024-3.1"])
def test_what_is_no_date_or_could_be_two_is_refused(text):
    with pytest.raises(InputError, match="YYYY-MM-DD"):
        as_date(text)


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("sub-01_2024-03-31_T1w", date(2024, 3, 31)),
        ("20240331", date(2024, 3, 31)),
        ("T1_2024_03_31_v2", date(2024, 3, 31)),
        ("12345678901234", None),
        ("visit 20241341", None),
        ("1980-01-01 scanned 2024-03-31", None),
        ("FLAIR", None),
    ],
)
def test_a_name_tells_a_date_when_it_holds_exactly_one(name, day):
    assert date_in(name) == day


def test_dates_that_were_typed_in_come_before_what_the_image_says():
    frames = (a_frame("2020-05-05", date(2020, 1, 1)), a_frame("b", date(2018, 1, 1)))
    series = in_order(Series(frames), ["2010-01-01", None])
    assert series.dates == (date(2010, 1, 1), date(2018, 1, 1))
    assert [frame.name for frame in series.frames] == ["2020-05-05", "b"]


def test_an_index_in_years_tells_the_days():
    series = in_order(Series((a_frame("a"), a_frame("b")), (2.0, 0.5), "years"))
    assert [frame.name for frame in series.frames] == ["b", "a"]
    assert series.days == pytest.approx((0.0, 1.5 * 365.25))


def test_an_index_in_days_counts_more_than_a_birthday_in_every_name():
    frames = (a_frame("born 1980-01-01 first"), a_frame("born 1980-01-01 second"))
    assert in_order(Series(frames, (0, 90), "d")).days == (0, 90)


def test_names_tell_when_nothing_else_does():
    series = in_order(Series((a_frame("T1_2021-01-01"), a_frame("T1_2020-12-30"))))
    assert series.days == (0, 2)


def test_one_visit_is_refused():
    with pytest.raises(InputError, match="one visit only"):
        in_order(Series((a_frame(day=date(2020, 1, 1)),)))


def test_the_same_day_twice_is_refused_with_both_names():
    day = date(2020, 1, 1)
    with pytest.raises(InputError, match=r"'one' and 'two' are of the same day.*2020-01-01"):
        in_order(Series((a_frame("one", day), a_frame("other", day + timedelta(1)), a_frame("two", day))))


def test_a_visit_without_a_date_is_refused_by_name():
    with pytest.raises(InputError, match="not known when 'undated' was acquired"):
        in_order(Series((a_frame("dated", date(2020, 1, 1)), a_frame("undated"))))


def test_typed_dates_are_read_together():
    frames = (a_frame("one"), a_frame("two"))
    assert in_order(Series(frames), ["04/03/2024", "31/03/2024"]).dates == (date(2024, 3, 4), date(2024, 3, 31))
    with pytest.raises(InputError, match="what is the day and what the month in '05/03/2024'"):
        in_order(Series(frames), ["05/03/2024", "06/03/2024"])


def test_too_few_dates_are_refused():
    with pytest.raises(InputError, match="1 dates were given for 2 visits"):
        in_order(Series((a_frame(), a_frame())), ["2020-01-01"])


def test_seconds_are_no_visits():
    frames = tuple(replace(a_frame(str(n)), date=date(2020, 1, 1)) for n in range(3))
    with pytest.raises(InputError, match="same day"):
        in_order(Series(frames, (0, 2, 4), "s"))
