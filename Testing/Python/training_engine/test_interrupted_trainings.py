"""Whatever ends a training, the best weights are there, and it goes on to the same result."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
import torch

import medai
from medai.errors import InputError, JobCancelled, ReadError, WriteError
from medai.progress import Progress
from medai.training import folder
from monai_process import run_bundle

pytestmark = pytest.mark.usefixtures("one_thread")

WITH_EVERYTHING = {"dropout": 0.2, "ema": 0.1, "l1": 1e-5, "gradient_clip": 1.0, "schedule": "cosine"}


class PoweredOffError(BaseException):
    """No handler of ordinary errors sees it, as none sees a computer that is switched off."""


def ending_after(epoch: int, error: BaseException):
    """Ends the training a step after an epoch's checkpoint."""
    seen = []

    def on_progress(progress: Progress) -> None:
        if seen:
            raise error
        if progress.note.startswith(f"Epoch {epoch} "):
            seen.append(progress)

    return on_progress


def weights(root: Path) -> dict[str, torch.Tensor]:
    return torch.load(root / "models" / "model.pt", weights_only=True)


def same(first: Path, second: Path) -> bool:
    one, two = weights(first), weights(second)
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_a_killed_training_goes_on_to_the_same_weights_bit_for_bit(train, bright_balls, tmp_path):
    train(bright_balls, "segment", "whole", parameters=WITH_EVERYTHING)
    with pytest.raises(PoweredOffError):
        train(
            bright_balls,
            "segment",
            "parts",
            parameters=WITH_EVERYTHING,
            on_progress=ending_after(2, PoweredOffError()),
        )
    assert len(folder.history(tmp_path / "parts")) == 2
    result = train(bright_balls, "segment", "parts", parameters=WITH_EVERYTHING)
    assert same(tmp_path / "whole", tmp_path / "parts")
    assert folder.history(tmp_path / "whole") == folder.history(tmp_path / "parts")
    assert any("goes on" in note for note in result.provenance.notes)


def test_steps_of_matrices_go_on_where_they_were_and_monai_repeats_them(train, smooth_volumes, tmp_path):
    chosen = {"optimizer": "muon", "schedule": "one_cycle", "network": "wavelet_segresnet", "loss": "psnr", "width": 4}
    train(smooth_volumes, "denoise", "whole", parameters=chosen)
    stop = ending_after(2, PoweredOffError())
    with pytest.raises(PoweredOffError):
        train(smooth_volumes, "denoise", "parts", parameters=chosen, on_progress=stop)
    train(smooth_volumes, "denoise", "parts", parameters=chosen)
    assert same(tmp_path / "whole", tmp_path / "parts")
    again = tmp_path / "again"
    shutil.copytree(tmp_path / "whole" / "configs", again / "configs")
    listed = ["--bundle_root", ".", "--datalist", tmp_path / "whole" / "runs" / "datalist.json"]
    run_bundle("--config_file", "configs/train.json", *listed, cwd=again)
    assert same(tmp_path / "whole", again)


def test_monai_bundle_run_repeats_the_training(train, bright_balls, tmp_path):
    train(bright_balls, "segment", "ours", parameters={"epochs": 2})
    again = tmp_path / "again"
    shutil.copytree(tmp_path / "ours" / "configs", again / "configs")
    chosen = ["--bundle_root", ".", "--datalist", tmp_path / "ours" / "runs" / "datalist.json"]
    run_bundle("--config_file", "configs/train.json", *chosen, cwd=again)
    assert same(tmp_path / "ours", again)


def test_stopping_keeps_the_best_weights_and_they_can_be_made_a_model(train, bright_balls, tmp_path):
    stop = ending_after(2, JobCancelled("The job was cancelled."))
    with pytest.raises(JobCancelled):
        train(bright_balls, "segment", on_progress=stop)
    kept = weights(tmp_path / "model")
    train(bright_balls, "segment", finish=True)
    assert all(torch.equal(kept[name], value) for name, value in weights(tmp_path / "model").items())
    card = (tmp_path / "model" / "docs" / "README.md").read_text(encoding="utf-8")
    assert "2 epochs (stopped early; 4 were planned)" in card
    image = bright_balls / "images" / "case_0.nii.gz"
    assert medai.segment(image, tmp_path / "model", in_process=True, backend="torch").labelmap.segments


def test_there_is_nothing_to_finish_before_the_first_validation(train, bright_balls):
    with pytest.raises(InputError, match="nothing to finish"):
        train(bright_balls, "segment", finish=True)


def test_a_full_disk_loses_no_earlier_checkpoint(train, bright_balls, tmp_path, monkeypatch):
    save, saved = torch.save, []

    def until_full(state, file, *options, **more):
        if "optimizer" in state and len(saved) == 2:
            file.write(b"half of it")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        saved.extend([1] if "optimizer" in state else [])
        return save(state, file, *options, **more)

    monkeypatch.setattr(torch, "save", until_full)
    with pytest.raises(WriteError, match="disk is full"):
        train(bright_balls, "segment", "full")
    monkeypatch.undo()
    checkpoint = torch.load(tmp_path / "full" / "runs" / "checkpoint.pt", weights_only=True)
    assert checkpoint["epoch"] == 2
    assert not list((tmp_path / "full").rglob("*.part"))
    train(bright_balls, "segment", "full")
    train(bright_balls, "segment", "whole")
    assert same(tmp_path / "full", tmp_path / "whole")


def test_a_training_that_does_not_get_better_ends_early(train, bright_balls, tmp_path):
    chosen = {"epochs": 30, "patience": 2, "learning_rate": 1e-9, "augmentation": []}
    train(bright_balls, "segment", parameters=chosen)
    assert len(folder.history(tmp_path / "model")) < 30


def test_other_parameters_do_not_go_on_with_an_unfinished_training(train, bright_balls):
    with pytest.raises(PoweredOffError):
        train(bright_balls, "segment", on_progress=ending_after(1, PoweredOffError()))
    with pytest.raises(InputError, match="is not empty") as refused:
        train(bright_balls, "segment", parameters={"learning_rate": 0.02})
    assert "--overwrite" in refused.value.remedy


def test_a_finished_model_is_replaced_only_when_asked(train, bright_balls, tmp_path):
    train(bright_balls, "segment", parameters={"epochs": 1})
    with pytest.raises(InputError, match="finished model"):
        train(bright_balls, "segment", parameters={"epochs": 1})
    before = weights(tmp_path / "model")
    train(bright_balls, "segment", parameters={"epochs": 1, "seed": 5}, overwrite=True)
    assert not all(torch.equal(before[name], value) for name, value in weights(tmp_path / "model").items())


def test_a_folder_with_other_things_is_left_alone(train, bright_balls, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.txt").write_text("ten years of work", encoding="utf-8")
    with pytest.raises(InputError, match="is not empty"):
        train(bright_balls, "segment")
    train(bright_balls, "segment", parameters={"epochs": 1}, overwrite=True)
    assert (tmp_path / "model" / "thesis.txt").read_text(encoding="utf-8") == "ten years of work"


def test_a_damaged_checkpoint_is_told(train, bright_balls, tmp_path):
    with pytest.raises(PoweredOffError):
        train(bright_balls, "segment", on_progress=ending_after(1, PoweredOffError()))
    checkpoint = tmp_path / "model" / "runs" / "checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:2000])
    with pytest.raises(ReadError, match="cannot go on"):
        train(bright_balls, "segment")
