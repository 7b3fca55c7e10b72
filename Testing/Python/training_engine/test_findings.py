"""Several findings at once, labels that are missing, classes that are rare."""

from __future__ import annotations

import json
import shutil

import pytest

import medai
from medai.errors import InputError


def test_findings_are_learned_where_they_are_known(train, pictures_with_findings, tmp_path):
    chosen = {"epochs": 10, "batch_size": 4, "augmentation": [], "schedule": "constant", "learning_rate": 0.003}
    chosen |= {"class_weights": "balanced", "weighted_sampling": True, "validate_every": 5}
    result = train(pictures_with_findings, "classify", parameters=chosen)
    table = result.items[2].columns
    areas = {
        label: value
        for metric, label, value in zip(table["Metric"], table["Label"], table["Value"], strict=True)
        if metric == "auroc"
    }
    assert areas["corner"] > 0.9
    assert areas["middle"] > 0.9
    metadata = json.loads((tmp_path / "model" / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert metadata["network_data_format"]["outputs"]["pred"]["channel_def"] == {"0": "corner", "1": "middle"}


def test_bad_cases_stop_the_training_unless_told_otherwise(train, bright_balls, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(bright_balls, folder)
    image = folder / "images" / "case_3.nii.gz"
    image.write_bytes(image.read_bytes()[:500])
    with pytest.raises(InputError, match="1 of 6 cases") as refused:
        train(folder, "segment", parameters={"epochs": 1})
    assert "case_3" in refused.value.why
    assert "--skip-bad" in refused.value.remedy
    train(folder, "segment", parameters={"epochs": 1}, skip_bad=True)
    listed = json.loads((tmp_path / "model" / "runs" / "datalist.json").read_text(encoding="utf-8"))
    assert len(listed["training"]) + len(listed["validation"]) == 5


def test_training_on_all_cases_says_that_nothing_judges_it(train, bright_balls, tmp_path):
    result = train(bright_balls, "segment", parameters={"epochs": 1}, validation=0.0)
    assert [item.name for item in result.items] == ["training", "training"]
    card = (tmp_path / "model" / "docs" / "README.md").read_text(encoding="utf-8")
    assert "no case of these data can judge the model" in card


@pytest.mark.parametrize(("task", "message"), [("paint", "'paint' cannot be used for 'task'"), ("classify", "classes")])
def test_a_task_that_the_data_do_not_fit_is_refused(bright_balls, tmp_path, task, message):
    with pytest.raises(InputError, match=message):
        medai.train(bright_balls, task, tmp_path / "model", in_process=True)


def test_an_unknown_choice_is_refused(bright_balls, tmp_path):
    with pytest.raises(InputError, match="'epochs' cannot be chosen"):
        medai.train(bright_balls, "segment", tmp_path / "model", epochs=3, in_process=True)
