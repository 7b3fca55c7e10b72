"""A training in two processes is the same as in one."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import medai
from medai.errors import InputError
from medai.training import folder
from medai.training.components.sampling import EpochBatches
from monai_process import BundleRun

STEADY = {"epochs": 2, "optimizer": "sgd", "learning_rate": 0.05, "validate_every": 2}
# Larger steps make a contest of two networks swing, in which rounding grows.
CONTEST = {**STEADY, "learning_rate": 0.002}


@pytest.fixture
def in_two_processes(tmp_path) -> Callable[[Path], Path]:
    """Repeats the training of a bundle as torchrun does; returns the new bundle's folder."""

    def run(one: Path) -> Path:
        root = tmp_path / "two"
        shutil.copytree(one / "configs", root / "configs")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        chosen = ["--config_file", "configs/train.json", "--bundle_root", "."]
        chosen += ["--datalist", one / "runs" / "datalist.json"]
        # What torchrun tells its processes.
        told = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "CUDA_VISIBLE_DEVICES": ""}
        running = [BundleRun(*chosen, cwd=root, RANK=rank, LOCAL_RANK=rank, **told) for rank in ("0", "1")]
        for process in running:
            process.finish()
        return root

    return run


def check_same(one: Path, two: Path) -> None:
    """Losses of every epoch, weights, and what norms have seen."""
    losses = [[{k: row[k] for k in row if k.endswith("loss")} for row in folder.history(root)] for root in (one, two)]
    for first, second in zip(*losses, strict=True):
        assert first == pytest.approx(second, rel=1e-4)
    first, second = (torch.load(root / "models" / "model.pt", weights_only=True) for root in (one, two))
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.allclose(value, second[name], rtol=1e-3, atol=1e-5), name


@pytest.mark.timeout(280)
def test_two_processes_learn_to_segment_what_one_learns(train, bright_balls, tmp_path, in_two_processes):
    # Dice of all voxels of a batch together is not the mean of each process's, nor are weights of classes.
    chosen = {**STEADY, "loss": "dice_ce", "augmentation": ["flip", "affine"], "class_weights": [1.0, 5.0]}
    train(bright_balls, "segment", "one", parameters=chosen)
    check_same(tmp_path / "one", in_two_processes(tmp_path / "one"))


@pytest.mark.timeout(280)
def test_two_processes_learn_to_classify_what_one_learns(train, pictures_with_findings, tmp_path, in_two_processes):
    # Batch norms see the cases of both; what is not known is not shared equally.
    chosen = {**STEADY, "batch_size": 8, "augmentation": ["flip"], "class_weights": "balanced"}
    train(pictures_with_findings, "classify", "one", parameters=chosen)
    names = torch.load(tmp_path / "one" / "models" / "model.pt", weights_only=True)
    assert any("running_mean" in name for name in names), "there is no batch norm in it"
    check_same(tmp_path / "one", in_two_processes(tmp_path / "one"))


@pytest.mark.timeout(280)
def test_two_processes_learn_to_make_images_as_one_does(train, bright_balls, tmp_path, in_two_processes):
    # The discriminator sees two cases at once, each changed at random.
    chosen = {**CONTEST, "batch_size": 4, "width": 4, "patch_size": [16, 16, 16]}
    train(bright_balls, "synthesize", "one", parameters=chosen)
    check_same(tmp_path / "one", in_two_processes(tmp_path / "one"))


@pytest.mark.timeout(280)
def test_two_processes_learn_to_translate_what_one_learns(train, pairs, tmp_path, in_two_processes):
    train(pairs, "translate", "one", parameters={**CONTEST, "patches": 2, "augmentation": ["flip"]})
    check_same(tmp_path / "one", in_two_processes(tmp_path / "one"))


def test_two_processes_share_no_cases_that_are_seen_together():
    with pytest.raises(InputError, match="multiple of 4"):
        EpochBatches(12, 6, world=2, together=2)
    assert len(list(EpochBatches(12, 6, together=2))) == 2  # one process shares with nobody
    shares = [list(EpochBatches(16, 8, rank=rank, world=2, together=2)) for rank in (0, 1)]
    whole = list(EpochBatches(16, 8, together=2))
    assert [first + second for first, second in zip(*shares, strict=True)] == whole


def test_several_processes_are_told_what_they_can_start(bright_balls, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match=r"torchrun --nproc_per_node 2 -m monai\.bundle run"):
        medai.train(bright_balls, "segment", tmp_path / "model", in_process=True)
    assert not (tmp_path / "model").exists()
