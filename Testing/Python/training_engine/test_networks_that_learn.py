"""Tiny networks find a planted signal, and what they leave is a whole bundle."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import medai
from medai.bundles import integrity, verify
from medai.errors import InputError
from medai.result import Plot, Table


def column(result: medai.Result, table: str, title: str) -> tuple[float, ...]:
    found = next(item for item in result.items if isinstance(item, Table) and item.name == table)
    return found.columns[title]


def score(result: medai.Result, metric: str) -> float:
    return dict(zip(column(result, "scores", "Metric"), column(result, "scores", "Value"), strict=True))[metric]


def test_a_segmentation_finds_bright_balls(a_trained_ball_finder):
    _, result = a_trained_ball_finder
    losses = column(result, "training", "Loss")
    assert losses[-1] < 0.6 * losses[0]
    dice = [value for value in column(result, "training", "Dice") if not math.isnan(value)]
    assert dice[-1] > max(0.8, dice[0])
    assert score(result, "dice") > 0.8


def test_the_training_is_drawn_over_its_epochs(a_trained_ball_finder):
    _, result = a_trained_ball_finder
    plot = next(item for item in result.items if isinstance(item, Plot))
    assert plot.x == "Epoch"
    assert plot.y == ("Loss", "Dice")
    assert plot.table.columns["Epoch"] == tuple(range(1, 15))


def test_the_bundle_passes_every_check(a_trained_ball_finder):
    root, _ = a_trained_ball_finder
    report = verify.verify(root)
    assert report.ok, str(report)
    assert integrity.check_pins(root)
    assert {check.name for check in report.checks if not check.ok} <= {"train.json"}, str(report)


def test_what_a_training_leaves_beside_the_bundle_may_go(a_trained_ball_finder):
    root, _ = a_trained_ball_finder
    assert not any(name.startswith("runs/") for name in integrity.read_pins(root))
    assert not (root / "runs" / "checkpoint.pt").exists()
    assert list((root / "runs").glob("events.out.tfevents*"))


def test_the_model_card_is_filled_from_the_run(a_trained_ball_finder):
    root, result = a_trained_ball_finder
    card = (root / "docs" / "README.md").read_text(encoding="utf-8")
    assert f"| {score(result, 'dice'):.3f} |" in card
    assert "6 cases, 4 for training, 2 for validation" in card
    assert "14 epochs" in card
    assert "monai.bundle run --config_file configs/train.json" in card
    assert (root / "docs" / "data_license.txt").read_text(encoding="utf-8") == "Made for tests.\n"
    assert str(root.parent) not in card


def test_no_path_of_this_computer_is_in_the_bundle(a_trained_ball_finder, bright_balls):
    root, _ = a_trained_ball_finder
    for name in integrity.read_pins(root):
        content = (root / name).read_bytes()
        assert str(root.parent).encode() not in content, name
        assert str(bright_balls).encode() not in content, name


def test_the_trained_model_segments_through_the_product(a_trained_ball_finder, bright_balls):
    import nibabel as nib

    root, _ = a_trained_ball_finder
    found = medai.segment(bright_balls / "images" / "case_0.nii.gz", root, in_process=True, backend="torch").labelmap
    truth = np.asarray(nib.load(bright_balls / "labels" / "case_0.nii.gz").dataobj).transpose()
    overlap = 2 * ((found.array > 0) & (truth > 0)).sum() / ((found.array > 0).sum() + (truth > 0).sum())
    assert overlap > 0.8


def test_evaluating_it_gives_the_scores_of_its_card(a_trained_ball_finder, tmp_path):
    root, result = a_trained_ball_finder
    data = root / "runs" / "datalist.json"
    found = medai.evaluate(root, data, tmp_path / "report", split="validation", in_process=True, device="cpu")
    assert column(found, "scores", "Value")[0] == pytest.approx(score(result, "dice"), abs=1e-4)
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"cases.csv", "summary.json", "report.html"}
    summary = json.loads((tmp_path / "report" / "summary.json").read_text(encoding="utf-8"))
    assert summary["cases"] == 2


def test_a_part_that_the_data_lack_is_refused(a_trained_ball_finder, tmp_path):
    root, _ = a_trained_ball_finder
    with pytest.raises(InputError, match="no case for 'test'") as refused:
        medai.evaluate(root, root / "runs" / "datalist.json", tmp_path / "report", split="test", in_process=True)
    assert "training (4), validation (2)" in str(refused.value)


def test_a_classifier_finds_bright_spots(train, bright_spots, tmp_path):
    chosen = {"epochs": 8, "batch_size": 4, "augmentation": [], "schedule": "constant", "learning_rate": 0.003}
    result = train(bright_spots, "classify", parameters=chosen)
    losses = column(result, "training", "Loss")
    assert losses[-1] < 0.5 * losses[0]
    assert score(result, "auroc") > 0.95
    assert verify.verify(tmp_path / "model").ok


def test_a_denoiser_makes_noisy_images_better(train, smooth_volumes, tmp_path):
    chosen = {"epochs": 25, "batch_size": 2, "validate_every": 25, "augmentation": ["flip"], "network": "unet"}
    result = train(smooth_volumes, "denoise", parameters={**chosen, "width": 8})
    losses = column(result, "training", "Loss")
    assert losses[-1] < 0.8 * losses[0]
    assert score(result, "psnr_gain_db") > 0.2  # most of the noise is weak
    assert verify.verify(tmp_path / "model").ok
    inferer = json.loads((tmp_path / "model" / "configs" / "inference.json").read_text(encoding="utf-8"))["inferer"]
    windows = f"windows of {' x '.join(map(str, inferer['roi_size']))} voxels"
    assert windows in (tmp_path / "model" / "docs" / "README.md").read_text(encoding="utf-8")
