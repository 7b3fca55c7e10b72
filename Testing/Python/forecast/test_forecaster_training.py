"""From a table of visits to a bundle that forecasts, and how good it is."""

from __future__ import annotations

import json
import shutil

import pytest

from medai.api import run_here
from medai.api.training import prepare_training
from medai.bundles import configs, trust
from medai.bundles.description import describe
from medai.errors import InputError, JobCancelled
from monai_process import run_bundle

TARGET = "Volume (mL)"


@pytest.fixture(scope="module")
def the_scores(a_forecaster):
    summary = (a_forecaster / "docs" / "README.md").read_text(encoding="utf-8")
    lines = [line.split("|")[1:-1] for line in summary.splitlines() if line.startswith("| ")]
    return {(cell[0].strip(), cell[1].strip()): cell[2].strip() for cell in lines}


def test_beats_whoever_expects_no_change_and_the_subjects_own_line(the_scores):
    ours, carried, line = (
        float(the_scores[name, TARGET].split()[0]) for name in ("mae_next", "mae_carried", "mae_line")
    )
    assert ours < carried
    assert ours < line


def test_tells_slow_from_fast(the_scores):
    assert float(the_scores["auroc", ""].split()[0]) > 0.9


def test_describes_itself_and_needs_no_trust(a_forecaster):
    description = describe(a_forecaster)
    assert description.task == "forecast"
    trust.check_config(a_forecaster)


def test_keeps_its_constants_and_its_calibration_in_the_bundle(a_forecaster):
    content = configs.inference(a_forecaster)
    network = content["network_def"]
    assert network["means"][0] == pytest.approx(3.3, abs=0.4)
    assert all(factor > 0 for factor in (*content["spread"], content["temperature"]))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("network_def", "means"), ["$__import__('os').getcwd()"]),
        (("network_def", "encoder"), {"_target_": "os.system"}),
        (("network_def", "path"), "x"),
        (("preprocessing", "measurements"), ["@network_def"]),
    ],
)
def test_refuses_a_bundle_that_asks_its_parts_for_something_else(a_forecaster, tmp_path, place, value):
    copy = tmp_path / "changed"
    shutil.copytree(a_forecaster, copy)
    path = copy / "configs" / "inference.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    owner = content["network_def"] if place[0] == "network_def" else content["preprocessing"]["transforms"][0]
    owner[place[1]] = value
    path.write_text(json.dumps(content), encoding="utf-8")
    assert trust.concerns(copy)


def test_monai_runs_the_bundle_on_tables_by_itself(a_forecaster, a_table, tmp_path):
    table = a_table(("A", "2024-01-01", 3.2, 28), ("A", "2025-01-01", 2.95, ""))
    (tmp_path / "tables").mkdir()
    shutil.copy(table, tmp_path / "tables" / "subject_a.csv")
    places = ["--bundle_root", a_forecaster, "--dataset_dir", tmp_path / "tables", "--output_dir", tmp_path / "out"]
    run_bundle("--config_file", a_forecaster / "configs/inference.json", *places, cwd=tmp_path)
    name, *numbers = (tmp_path / "out" / "forecasts.csv").read_text(encoding="utf-8").strip().split(",")
    assert name == "subject_a"
    assert len(numbers) == 4  # location and scale of the volume, and two logits
    assert 2.3 < float(numbers[0]) < 3.0


def test_a_training_that_was_stopped_goes_on_as_if_it_had_not(planted_rates, tmp_path, quick, a_forecaster):
    root = tmp_path / "quick_forecaster"
    job = prepare_training(planted_rates, "forecast", root, parameters=quick)

    def stop_in_the_middle(progress):
        if progress.stage == "Training" and progress.done >= 0.5 * progress.total:
            raise JobCancelled("Stopped.")

    with pytest.raises(JobCancelled):
        run_here(job, stop_in_the_middle)
    run_here(job)
    assert _weights(root) == pytest.approx(_weights(a_forecaster), abs=1e-7)


def test_evaluates_beside_both_baselines_with_a_report(a_forecaster, planted_rates, tmp_path):
    from medai.api.training import evaluate

    result = evaluate(a_forecaster, planted_rates, tmp_path / "report", in_process=True)
    metrics = set(result.table.columns["Metric"])
    assert {"mae_next", "mae_carried", "mae_line", "rmse_next", "coverage", "width", "crps", "auroc", "ece"} <= metrics
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "carried forward" in page
    assert page.count("data:image/png") >= 5


def test_says_what_can_be_forecast_when_it_is_not_clear(planted_rates, tmp_path):
    job = prepare_training(planted_rates, "forecast", tmp_path / "model", parameters={"epochs": 1})
    with pytest.raises(InputError, match=r"not known what to forecast.*Volume \(mL\), Score"):
        run_here(job)


def test_refuses_a_column_that_does_not_exist(planted_rates, tmp_path, quick):
    job = prepare_training(planted_rates, "forecast", tmp_path / "model", parameters={**quick, "targets": ["Weight"]})
    with pytest.raises(InputError, match="'Weight' was not measured"):
        run_here(job)


def test_refuses_subjects_of_one_visit_each(a_table, tmp_path, quick):
    table = a_table(*((f"S{n}", f"2024-01-{n + 1:02d}", 3 + n / 10, 20 + n) for n in range(12)))
    job = prepare_training(table, "forecast", tmp_path / "model", parameters=quick)
    with pytest.raises(InputError, match="No subject for training has two visits"):
        run_here(job)


def _weights(root):
    import torch

    state = torch.load(root / "models" / "model.pt", weights_only=True)
    return torch.cat([tensor.double().flatten() for tensor in state.values()]).tolist()
