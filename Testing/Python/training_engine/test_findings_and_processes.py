"""Several findings at once, labels that are missing, classes that are rare; one process or two."""

from __future__ import annotations

import json
import shutil
import socket

import numpy as np
import pytest
import torch

import medai
from medai.errors import InputError
from medai.training import folder
from medai.training.data import DataList, read_data_list
from monai_process import BundleRun


@pytest.fixture
def pictures_with_findings(tmp_path) -> DataList:
    """A bright corner is the first finding, a bright middle the second; every third label is not known."""
    rng = np.random.default_rng(2)
    images = rng.integers(0, 90, (60, 16, 16)).astype(np.uint8)
    labels = rng.integers(0, 2, (60, 2))
    images[labels[:, 0] == 1, :5, :5] += 140
    images[labels[:, 1] == 1, 8:13, 8:13] += 140
    np.savez(
        tmp_path / "findings.npz",
        train_images=images[:40],
        train_labels=labels[:40],
        val_images=images[40:],
        val_labels=labels[40:],
    )
    data = read_data_list(tmp_path / "findings.npz", label_names={0: "corner", 1: "middle"})
    items = [
        item.with_values(label=(item.label[0], None) if n % 3 == 0 and n < 40 else item.label)
        for n, item in enumerate(data)
    ]
    return data.with_items(items)


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


def test_several_processes_are_told_what_they_can_start(bright_balls, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match=r"torchrun --nproc_per_node 2 -m monai\.bundle run"):
        medai.train(bright_balls, "segment", tmp_path / "model", in_process=True)
    assert not (tmp_path / "model").exists()


@pytest.mark.timeout(280)
def test_two_processes_learn_what_one_learns(train, bright_balls, tmp_path):
    # Mean over voxels, and norms of single cases: a batch in two halves gives the same gradient.
    chosen = {"epochs": 2, "loss": "cross_entropy", "optimizer": "sgd", "learning_rate": 0.05, "network": "dynunet"}
    chosen |= {"validate_every": 2, "augmentation": ["flip", "affine"]}
    train(bright_balls, "segment", "one", parameters=chosen)
    root = tmp_path / "two"
    shutil.copytree(tmp_path / "one" / "configs", root / "configs")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    chosen = ["--config_file", "configs/train.json", "--bundle_root", "."]
    chosen += ["--datalist", tmp_path / "one" / "runs" / "datalist.json"]
    # What torchrun tells its processes.
    told = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "CUDA_VISIBLE_DEVICES": ""}
    running = [BundleRun(*chosen, cwd=root, RANK=rank, LOCAL_RANK=rank, **told) for rank in ("0", "1")]
    for process in running:
        process.finish()
    one, two = (torch.load(tmp_path / name / "models" / "model.pt", weights_only=True) for name in ("one", "two"))
    assert one.keys() == two.keys()
    losses = [[row["loss"] for row in folder.history(tmp_path / name)] for name in ("one", "two")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    for name, value in one.items():
        assert torch.allclose(value, two[name], rtol=1e-3, atol=1e-5), name
