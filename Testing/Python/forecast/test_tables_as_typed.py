"""Tables of visits as people type them and as spreadsheets save them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

import medai
from medai.cli import app
from medai.errors import InputError, ReadError

MODEL = "hippocampus_forecast"
LOSING = ("A,2020-01-01,3.41", "A,2021-01-01,3.32", "A,2022-01-01,3.1")


@pytest.fixture
def typed(tmp_path):
    """Writes lines as they are into a file."""

    def make(*lines: str, titles: str = "Subject ID,Date,Hippocampus (mL)", name: str = "visits.csv") -> Path:
        path = tmp_path / name
        path.write_text("\n".join([titles, *lines]) + "\n", encoding="utf-8-sig")
        return path

    return make


def ask(table, **choices):
    return medai.forecast(table, MODEL, in_process=True, **choices)


def test_decimal_commas_between_semicolons_are_numbers(typed):
    english = ask(typed(*LOSING))
    lines = [line.replace(",", ";").replace(".", ",") for line in LOSING]
    german = ask(typed(*lines, titles="Subject ID;Date;Hippocampus (mL)"))
    assert german.table.columns == english.table.columns


def test_decimal_commas_between_commas_are_refused_and_not_cut_off(typed):
    with pytest.raises(ReadError, match="'A, 2020-01-01, 3' has more cells than there are titles"):
        ask(typed("A,2020-01-01,3,41", "A,2021-01-01,3,32"))


@pytest.mark.parametrize("cell", ['"3,410.5"', '"3,41"', "ca. 3"])
def test_a_measurement_that_is_text_is_named_and_not_taken_for_missing(typed, cell):
    table = typed(f"A,2020-01-01,{cell},1", *(f"{line},2" for line in LOSING[1:]), titles=_TWO)
    with pytest.raises(InputError, match=f"'{cell.strip(chr(34))}' is no number"):
        ask(table)


_TWO = "Subject ID,Date,Hippocampus (mL),Score"


def test_titles_may_be_written_in_other_letters_and_the_subject_called_a_patient(typed):
    assert ask(typed(*LOSING, titles="patient,DATE,Hippocampus (mL)")).table.columns["Subject"] == ("A",)


def test_a_table_of_something_else_says_what_the_model_knows(typed):
    with pytest.raises(InputError, match=r"knows Hippocampus \(mL\); the columns with numbers are Hippocampus\."):
        ask(typed(*LOSING, titles="Subject ID,Date,Hippocampus"))


def test_titles_alone_and_titles_of_something_else_are_told_apart(typed):
    with pytest.raises(InputError, match="holds no visits"):
        ask(typed())
    with pytest.raises(InputError, match="Call the column of subjects 'Subject ID'"):
        ask(typed("1,2,3", titles="a,b,c"))


def test_another_unit_is_told(typed):
    notes = ask(typed("A,2020-01-01,3410", "A,2021-01-01,3320")).provenance.notes
    assert any("'Hippocampus (mL)' was 3410, far from what the model learned from" in note for note in notes)
    assert not any("far from what" in note for note in ask(typed(*LOSING)).provenance.notes)


def test_a_day_far_ahead_is_told_and_one_beyond_the_calendar_refused(typed):
    table = typed(*LOSING)
    assert any("30.0 years after the last visit" in note for note in ask(table, at="2052-01-01").provenance.notes)
    for at in ("2123-01-01", "9999-12-31"):
        with pytest.raises(InputError, match="so late a day"):
            ask(table, at=at)
    with pytest.raises(InputError, match="so late a day"):
        ask(typed("A,2020-01-01,3.4", "A,9999-12-31,3.3"))


def test_numbers_no_organ_has_are_refused_and_not_blamed_on_the_model(typed):
    with pytest.raises(InputError, match=r"is 1e\+300 at"):
        ask(typed("A,2020-01-01,1e300", "A,2021-01-01,3"))


def test_change_is_refused_for_a_table(typed):
    with pytest.raises(InputError, match="cannot be shown of a table"):
        ask(typed(*LOSING), change=True)


def test_every_subject_keeps_a_plot_of_its_own_however_it_is_called(typed, tmp_path):
    pytest.importorskip("matplotlib")
    subjects = ("a b", "a_b", "A_B", "ü" * 300, "ü" * 301)
    rows = [f"{subject},{year}-01-01,3.{year % 10}" for subject in subjects for year in (2020, 2021)]
    done = CliRunner().invoke(app, ["forecast", str(typed(*rows)), "-m", MODEL, "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "out").glob("*.png"))) == len(subjects)


_DAYS = ("2019-12-31", "2021-01-02", "2022-01-03")
_WAYS = {
    "31.12.2019": ("31.12.2019", "2.1.2021", "03.01.2022 08:30"),
    "12/31/2019": ("12/31/2019", "01/02/2021", "1/3/2022"),
    "31/12/2019": ("31/12/2019", "02/01/2021", "3/1/2022"),
    "43830": ("43830", "44198.25", "44564"),
}


@pytest.mark.parametrize("said", _WAYS)
def test_dates_are_read_as_countries_and_spreadsheets_write_them_and_it_is_said(typed, said):
    values = [line.split(",")[2] for line in LOSING]
    plain, other = (
        ask(typed(*(f"A,{day},{value}" for day, value in zip(days, values, strict=True))))
        for days in (_DAYS, _WAYS[said])
    )
    assert other.table.columns == plain.table.columns
    assert any(f"{said} is 2019-12-31" in note for note in other.provenance.notes)
    assert not any("were taken for" in note for note in plain.provenance.notes)


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (("03/04/2020", "04/05/2021"), "what is the day and what the month in '03/04/2020'"),
        (("31/12/2020", "12/31/2021"), "'31/12/2020' and '12/31/2021' are not written in the same way"),
        (("03.04.2020", "12/31/2021"), "not written in the same way"),
        (("43830", "2021-01-01"), "not written in the same way"),
        (("31.12.19", "31.12.20"), "whose year has four digits"),
        (("2019", "2020"), "'2019' cannot be read as a date"),
    ],
)
def test_dates_that_stay_open_are_refused_with_the_reason(typed, days, said):
    with pytest.raises(InputError, match=said):
        ask(typed(*(f"A,{day},3.{n}" for n, day in enumerate(days))))


def test_a_subject_with_one_visit_does_not_stop_the_others(typed, tmp_path):
    table = typed("B,2020-01-01,3.3", *LOSING, "C,2021-05-01,")
    result = ask(table)
    assert result.table.columns["Subject"] == ("A",)
    left = next(item for item in result.items if getattr(item, "name", "") == "left out")
    assert left.columns["Subject"] == ("B", "C")
    assert any("2 of 3 subjects, since they have one visit only: B, C" in note for note in result.provenance.notes)
    done = CliRunner().invoke(app, ["forecast", str(table), "-m", MODEL, "-o", str(tmp_path / "out")])
    assert done.exit_code == 3
    assert "Left out were 2 of 3 subjects" in done.output
    assert (tmp_path / "out" / "forecast.csv").is_file()
    assert "C,one visit only" in (tmp_path / "out" / "left_out.csv").read_text(encoding="utf-8-sig")


def test_when_everybody_has_one_visit_it_is_refused(typed):
    with pytest.raises(InputError, match="'A' has one visit only"):
        ask(typed("A,2020-01-01,3.3", "B,2020-01-01,3.2"))


def test_several_tables_are_refused_as_such(typed):
    with pytest.raises(InputError, match="A forecast is made of one table"):
        ask([typed(*LOSING), typed(*LOSING, name="more.csv")])


def test_a_spreadsheet_is_told_from_an_image(typed):
    with pytest.raises(InputError, match="Save it there as CSV"):
        ask(typed(*LOSING, name="visits.xlsx"))


def test_a_number_of_days_before_the_last_visit_is_taken_for_one(typed, tmp_path):
    command = ["forecast", str(typed(*LOSING)), "-m", MODEL, "-o", str(tmp_path / "out"), "--at", "-5"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 3
    assert "a number of days after the last visit, above 0" in " ".join(done.output.split())
