"""A forecast as a person asks for it: tables, images, nodes and the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from typer.testing import CliRunner

import medai
from medai import mrml
from medai.cli import app
from medai.errors import BundleError, InputError, JobCancelled
from medai.mrml.volumes import fill_volume_node
from medai.result import Plot, Table
from medai.volume import Series, Volume

TARGET = "Volume (mL)"
LOSING = (("A", "2023-01-01", 3.50, 28), ("A", "2024-01-01", 3.24, ""), ("A", "2024-07-01", 3.12, 25))


def ask(table, model, **choices):
    return medai.forecast(table, model, in_process=True, **choices)


def value(result, title="Forecast", row=0) -> float:
    return float(result.table.columns[title][row])


def item(result, name: str):
    return next(one for one in result.items if one.name == name)


def test_a_table_gives_a_forecast_with_its_interval_a_class_and_a_plot(a_forecaster, a_table):
    result = ask(a_table(*LOSING), a_forecaster, at="2026-01-01")
    assert value(result) == pytest.approx(3.12 - 0.25 * 1.5, abs=0.15)
    assert value(result, "Low (90 %)") < value(result) < value(result, "High (90 %)")
    assert result.table.columns["Date"] == ("2026-01-01",)
    assert result.table.columns["Last measured"] == ("2024-07-01",)
    assert item(result, "measured").columns["Score"] == (28.0, "", 25.0)
    progression = item(result, "progression")
    likely = dict(zip(progression.columns["Class"], progression.columns["Probability"], strict=True))
    assert likely["fast"] > 0.8
    assert sum(likely.values()) == pytest.approx(1)
    (plot,) = [one for one in result.items if isinstance(one, Plot)]
    assert plot.points == ("Measured",)
    assert len(plot.band) == 2


def test_intervals_widen_with_time_and_with_the_confidence_asked_for(a_forecaster, a_table):
    table = a_table(*LOSING)
    result = ask(table, a_forecaster, at=[30, 1500])
    near, far = (value(result, "High (90 %)", row) - value(result, "Low (90 %)", row) for row in (0, 1))
    assert far > near
    sure = ask(table, a_forecaster, at=30, confidence=0.5)
    assert value(sure, "High (50 %)") - value(sure, "Low (50 %)") < near


def test_rows_in_another_order_give_the_same(a_forecaster, a_table):
    forwards = value(ask(a_table(*LOSING), a_forecaster, at=400))
    assert value(ask(a_table(*LOSING[::-1]), a_forecaster, at=400)) == pytest.approx(forwards)


def test_missing_values_are_told_and_not_taken_for_zeros(a_forecaster, a_table):
    missing = ask(a_table(LOSING[0], ("A", "2024-01-01", "", ""), LOSING[2]), a_forecaster, at=400)
    zero = ask(a_table(LOSING[0], ("A", "2024-01-01", 0, 0), LOSING[2]), a_forecaster, at=400)
    assert any("'Volume (mL)' is missing at 1 of 3 visits (2024-01-01)" in note for note in missing.provenance.notes)
    assert abs(value(missing) - value(zero)) > 0.01


def test_one_visit_is_refused(a_forecaster, a_table):
    with pytest.raises(InputError, match="one visit only"):
        ask(a_table(LOSING[0]), a_forecaster)


def test_two_visits_on_the_same_date_are_refused(a_forecaster, a_table):
    with pytest.raises(InputError, match="2024-01-01"):
        ask(a_table(*LOSING, ("A", "2024-01-01", 3.3, 27)), a_forecaster)


@pytest.mark.parametrize("at", ["2024-07-01", "2023-06-01"])
def test_a_date_that_is_not_after_the_last_visit_is_refused(a_forecaster, a_table, at):
    with pytest.raises(InputError, match=r"not after the last visit of 'A' \(2024-07-01\)"):
        ask(a_table(*LOSING), a_forecaster, at=at)


def test_days_between_visits_are_enough_unless_a_date_is_asked_for(a_forecaster, a_table):
    table = a_table(("A", 0, 3.5), ("A", 365, 3.25), titles="Subject ID,MR Delay,Volume (mL)")
    assert value(ask(table, a_forecaster, at=365)) < 3.25
    with pytest.raises(InputError, match="no date"):
        ask(table, a_forecaster, at="2030-01-01")


@pytest.mark.parametrize("at", [0, -5, True, "soon", 1e9])
def test_a_moment_that_is_none_is_refused(a_forecaster, a_table, at):
    with pytest.raises(InputError):
        ask(a_table(*LOSING), a_forecaster, at=at)


def test_a_table_without_numbers_or_with_infinite_ones_is_refused(a_forecaster, a_table):
    with pytest.raises(InputError, match="no measurements"):
        ask(
            a_table(("A", "2023-01-01", "much"), ("A", "2024-01-01", "less"), titles="Subject ID,Date,Size"),
            a_forecaster,
        )
    with pytest.raises(InputError, match="infinite"):
        ask(a_table(("A", "2023-01-01", "inf", 1), ("A", "2024-01-01", 3, 1)), a_forecaster)


def test_several_subjects_get_a_row_each(a_forecaster, a_table):
    others = tuple(("B", *row[1:]) for row in LOSING)
    result = ask(a_table(*LOSING, *others), a_forecaster)
    assert result.table.columns["Subject"] == ("A", "B")
    assert value(result, row=0) == pytest.approx(value(result, row=1))


def test_a_model_for_something_else_is_refused(a_table):
    with pytest.raises(BundleError, match="not for forecasts"):
        ask(a_table(*LOSING), "hippocampus_mr_unet")


def test_cancelling_ends_it(a_forecaster, a_table):
    def stop(progress):
        raise JobCancelled("Stopped.")

    with pytest.raises(JobCancelled):
        ask(a_table(*LOSING), a_forecaster, on_progress=stop)


@pytest.fixture
def dated_images() -> Series:
    rng = np.random.default_rng(0)
    head = gaussian_filter(rng.normal(0, 1, (24, 26, 28)), 2) * 400 + 200
    k, j, i = np.meshgrid(*(np.linspace(-1, 1, size) for size in head.shape), indexing="ij")
    image = np.where(k**2 + j**2 + i**2 < 0.8, head, 0)
    frames = [
        Volume((image + rng.normal(0, 2, image.shape)).astype(np.float32), np.eye(4), f"visit {n}", "MR", date=day)
        for n, day in enumerate((date(2023, 1, 1), date(2024, 1, 1)))
    ]
    return Series(tuple(frames), name="patient")


def test_images_with_typed_values_are_forecast(a_forecaster, dated_images):
    result = ask(dated_images, a_forecaster, values={TARGET: [3.5, 3.25]}, at="2025-01-01")
    assert value(result) < 3.25
    assert result.table.columns["Subject"] == ("patient",)


def test_what_has_changed_comes_on_request(a_forecaster, dated_images):
    result = ask(dated_images, a_forecaster, values={TARGET: [3.5, 3.25]}, change=True)
    assert any(isinstance(one, Volume) for one in result.items)
    names = [one.name for one in result.items]
    assert len(set(names)) == len(names)


def test_values_that_do_not_fit_the_images_are_refused(a_forecaster, dated_images):
    with pytest.raises(InputError, match="3 values and 2 visits"):
        ask(dated_images, a_forecaster, values={TARGET: [3.5, 3.25, 3.0]})


def test_images_without_dates_are_refused(a_forecaster, dated_images):
    undated = Series(tuple(replace(frame, date=None) for frame in dated_images.frames), name="patient")
    with pytest.raises(InputError, match="not known when"):
        ask(undated, a_forecaster, values={TARGET: [3.5, 3.25]})


def test_a_table_node_gives_tables_and_a_chart_in_its_scene(a_forecaster):
    from medai.mrml.tables import fill_table_node

    scene = mrml.create_scene()
    try:
        node = scene.AddNewNodeByClass("vtkMRMLTableNode", "visits")
        columns = {"Subject ID": ("A",) * 3, "Date": tuple(row[1] for row in LOSING)}
        fill_table_node(node, Table({**columns, TARGET: tuple(float(row[2]) for row in LOSING)}))
        nodes = medai.forecast(node, a_forecaster, at="2026-01-01", in_process=True)
        assert nodes.tables[0].GetName().endswith("forecast")
        chart = nodes.plots[0]
        assert chart.GetNumberOfPlotSeriesNodes() == 4
        measured, forecast, low, high = (chart.GetNthPlotSeriesNode(n) for n in range(4))
        assert measured.GetLineStyle() == measured.LineStyleNone
        assert forecast.GetMarkerStyle() == forecast.MarkerStyleNone
        assert low.GetLineStyle() == high.GetLineStyle() == low.LineStyleDash
        assert low.GetColor() == forecast.GetColor()
    finally:
        scene.Clear(0)


def test_the_command_writes_tables_and_a_plot(a_forecaster, a_table, tmp_path):
    arguments = ["forecast", str(a_table(*LOSING)), "-m", str(a_forecaster), "--at", "2026-01-01", "--json"]
    done = CliRunner().invoke(app, [*arguments, "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout.strip().splitlines()[-1])
    assert record["forecast"][0]["Date"] == "2026-01-01"
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"forecast.csv", "progression.csv", "measured.csv", "A__Volume__mL_.png"}


def test_the_command_says_what_is_wrong(a_forecaster, a_table, tmp_path):
    arguments = ["forecast", str(a_table(LOSING[0])), "-m", str(a_forecaster), "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 3
    assert "one visit only" in done.stderr


def test_a_sequence_node_gives_its_forecast_in_the_same_scene(a_forecaster, dated_images):
    scene = mrml.create_scene()
    try:
        sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "patient")
        sequence.SetIndexName("date")
        for frame in dated_images.frames:
            node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", frame.name)
            fill_volume_node(node, frame.array, frame.affine)
            sequence.SetDataNodeAtValue(node, frame.date.isoformat())
        nodes = medai.forecast(sequence, a_forecaster, values={TARGET: [3.5, 3.25]}, at="2025-06-01", in_process=True)
        assert len(nodes.plots) == 1
        assert any(table.GetName().endswith("forecast") for table in nodes.tables)
    finally:
        scene.Clear(0)


def test_values_of_something_the_model_does_not_know_are_refused(a_forecaster, dated_images):
    with pytest.raises(InputError, match=r"knows Volume \(mL\)"):
        ask(dated_images, a_forecaster, values={"Volume": [3.5, 3.25]})
