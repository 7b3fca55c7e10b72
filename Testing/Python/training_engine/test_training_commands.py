"""``medai train`` and ``medai evaluate``: the same training in a worker, from the command line."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from medai.api import prepare_training
from medai.cli import app
from medai.cli.data import read_data
from medai.errors import JobCancelled
from medai.jobs.worker import Worker

FEW = ["--set", "epochs=1", "--set", "width=4", "--set", "patch_size=[16,16,16]", "--device", "cpu"]


@pytest.fixture
def medai_command(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


def test_a_model_is_trained_and_evaluated_by_two_commands(medai_command, bright_balls, tmp_path):
    root = tmp_path / "finder"
    (tmp_path / "chosen.yaml").write_text("epochs: 9\nbatch_size: 1\n", encoding="utf-8")
    done = medai_command(
        "train", bright_balls, "--task", "segment", "--output", root, "--parameters", tmp_path / "chosen.yaml", *FEW
    )
    assert done.exit_code == 0, done.output
    assert "dice" in done.output
    assert "Epoch 1 of 1" in done.stderr
    assert (root / "SHA256SUMS").is_file()
    assert (root / "runs" / "contact_sheet.png").read_bytes()[:4] == b"\x89PNG"
    assert json.loads((root / "configs" / "train.json").read_text(encoding="utf-8"))["batch_size"] == 1
    done = medai_command("evaluate", root, bright_balls, "--output", tmp_path / "report", "--json", "--device", "cpu")
    assert done.exit_code == 0, done.output
    scores = json.loads(done.stdout.strip().splitlines()[-1])["scores"]
    assert scores[0]["Metric"] == "dice"
    assert scores[0]["Cases"] == 6
    assert (tmp_path / "report" / "report.html").is_file()


def test_a_data_list_elsewhere_and_a_stack_of_pictures_are_learned_from_together(medai_command, bright_spots, tmp_path):
    entries = [
        {"image": f"{bright_spots.name}#train_images:{n}", "label": n % 2, "name": f"again {n}"} for n in range(4)
    ]
    (tmp_path / "list.json").write_text(json.dumps({"training": entries}), encoding="utf-8")
    done = medai_command(
        "train", tmp_path / "list.json", bright_spots, "--data-root", bright_spots.parent, "--task", "classify",
        "--label", "0=plain", "--label", "1=spotted",
        "--output", tmp_path / "spots", "--set", "epochs=1", "--set", "width=4", "--device", "cpu", "--quiet",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    used = json.loads((tmp_path / "spots" / "runs" / "datalist.json").read_text(encoding="utf-8"))
    assert used["numTraining"] == 48
    metadata = json.loads((tmp_path / "spots" / "configs" / "metadata.json").read_text(encoding="utf-8"))
    channels = metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
    assert channels == {"0": "plain", "1": "spotted"}


def test_the_rounds_of_a_cross_validation_judge_every_case_once(bright_spots):
    rounds = [read_data([bright_spots], "auto", fold=f"{number}/3") for number in range(3)]
    held = [{item.name for item in data.part("validation")} for data in rounds]
    assert sorted(name for names in held for name in names) == sorted(item.name for item in rounds[0])
    for number, (data, names) in enumerate(zip(rounds, held, strict=True)):
        assert {item.name for item in data.part("training")}.isdisjoint(names)
        again = read_data([bright_spots], "auto", fold=f"{number}/3")
        assert {item.name for item in again.part("validation")} == names


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--set", "epochs=0"], "'0' cannot be used for 'epochs'"),
        (["--label", "spotted"], "does not name a label"),
        (["--fold", "first"], "'first' names no fold"),
        (["--fold", "5/5"], "The list has folds 0 to 4"),
        (["--fold", "0"], "The list has no folds"),
        (["--fold", "0/1"], "Use two parts or more"),
        (["--set", "epochs"], "no setting of a hyper-parameter"),
        (["--set", "speed=3"], "'speed' cannot be chosen"),
        (["--data-license", "nowhere.txt"], "cannot be read as text"),
    ],
)
def test_a_wrong_choice_is_told_before_anything_begins(medai_command, bright_balls, tmp_path, wrong, message):
    done = medai_command("train", bright_balls, "--task", "segment", "--output", tmp_path / "model", *wrong)
    assert done.exit_code == 3
    assert message in done.stderr
    assert not (tmp_path / "model").exists()


def test_data_that_are_not_there_are_told(medai_command, tmp_path):
    done = medai_command("train", tmp_path / "nothing", "--task", "segment", "--output", tmp_path / "model")
    assert done.exit_code == 3
    assert "was not found" in done.stderr


def test_a_training_in_a_worker_is_cancelled_and_its_best_is_kept(bright_balls, tmp_path):
    chosen = {"epochs": 5000, "width": 4, "patch_size": [16, 16, 16]}
    job = prepare_training(bright_balls, "segment", tmp_path / "model", parameters=chosen, device="cpu")

    def until_the_first_epoch(progress) -> None:
        if progress.note.startswith("Epoch 1 "):
            raise JobCancelled("The job was cancelled.")

    with Worker(preload=("torch",)) as worker:
        with pytest.raises(JobCancelled):
            worker.submit(job).wait(until_the_first_epoch)
        assert (tmp_path / "model" / "models" / "model.pt").is_file()
