"""Voxels that nobody knows count neither in the loss nor in a score; cases with rare structures come more often."""

from __future__ import annotations

import json
from collections import Counter

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.losses import DiceCELoss, FocalLoss

import medai
from medai.errors import InputError
from medai.training.components.losses import KnownVoxels
from medai.training.components.sampling import EpochBatches, weights_by_structure

UNKNOWN = 255


@pytest.fixture
def half_known_balls(bright_balls, tmp_path):
    """The same balls, but a quarter of every label map, through its ball, is not known; balls are labelled 4."""
    folder = tmp_path / "half_known"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for path in sorted((bright_balls / "images").iterdir()):
        (folder / "images" / path.name).write_bytes(path.read_bytes())
        label = np.asarray(nib.load(bright_balls / "labels" / path.name).dataobj) * 4
        label[:10, :10] = UNKNOWN
        nib.Nifti1Image(label.astype(np.uint8), np.eye(4)).to_filename(folder / "labels" / path.name)
    return folder


@pytest.mark.parametrize(
    "loss",
    [DiceCELoss(to_onehot_y=True, softmax=True, batch=True), FocalLoss(to_onehot_y=True, use_softmax=True)],
    ids=["dice_ce", "focal"],
)
def test_the_loss_is_that_of_the_known_voxels_alone(loss):
    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 6, 6, 6), torch.randint(0, 3, (2, 1, 6, 6, 6)).float()
    open_ones = target.clone()
    open_ones[:, :, 3:] = 7
    found = KnownVoxels(loss, 7)(logits, open_ones)
    assert float(found) == pytest.approx(float(loss(logits[:, :, :3], target[:, :, :3])), rel=1e-5)
    assert float(KnownVoxels(loss, 7)(logits, target)) == pytest.approx(float(loss(logits, target)), rel=1e-5)


def test_unknown_voxels_send_no_gradient():
    logits = torch.randn(1, 2, 4, 4, 4, requires_grad=True)
    target = torch.ones(1, 1, 4, 4, 4)
    target[:, :, :2] = 7
    KnownVoxels(DiceCELoss(to_onehot_y=True, softmax=True, batch=True), 7)(logits, target).backward()
    assert not logits.grad[:, :, :2].any()
    assert logits.grad[:, :, 2:].any()


def test_nothing_known_is_no_loss():
    logits = torch.randn(1, 2, 4, 4, 4, requires_grad=True)
    of_known = KnownVoxels(DiceCELoss(to_onehot_y=True, softmax=True, batch=True), 7)
    loss = of_known(logits, torch.full((1, 1, 4, 4, 4), 7))
    loss.backward()
    assert float(loss.detach()) == 0
    assert not logits.grad.any()


def test_a_training_with_unknown_voxels_learns_and_is_judged_without_them(train, half_known_balls, tmp_path):
    chosen = {"epochs": 14, "ignore_label": UNKNOWN, "augmentation": ["flip"], "validate_every": 7}
    result = train(half_known_balls, "segment", parameters=chosen)
    metadata = json.loads((tmp_path / "model" / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert [segment["label"] for segment in metadata["medai"]["segments"]] == [1]
    rows = next(item for item in result.items if item.name == "scores").columns
    dice = dict(zip(rows["Metric"], rows["Value"], strict=True))["dice"]
    assert dice > 0.75
    best = max(json.loads((tmp_path / "model" / "runs" / "history.json").read_text()), key=lambda r: r.get("dice", 0))
    assert dice == pytest.approx(best["dice"], abs=0.03)  # the same voxels are left out while training and after
    again = medai.evaluate(tmp_path / "model", half_known_balls, tmp_path / "report", in_process=True, device="cpu")
    assert next(item for item in again.items if item.name == "scores").columns["Value"][0] > 0.75


def test_unless_told_otherwise_every_value_is_a_structure(train, half_known_balls, tmp_path):
    train(half_known_balls, "segment", parameters={"epochs": 1})
    metadata = json.loads((tmp_path / "model" / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert len(metadata["medai"]["segments"]) == 2


def test_an_unknown_value_is_no_mistake_of_the_data(half_known_balls):
    from medai.training.data import check, read_data_list

    data = read_data_list(half_known_balls, "pairs", label_names={4: "ball"})
    assert check(data).bad
    assert not check(data, unknown=UNKNOWN).bad


def test_cases_with_a_rare_structure_come_more_often(tmp_path):
    cases = []
    for case in range(20):
        label = np.zeros((4, 4, 4), np.uint8)
        label[0] = 1
        label[1] = UNKNOWN
        if case < 2:
            label[2] = 2
        nib.Nifti1Image(label, np.eye(4)).to_filename(tmp_path / f"{case}.nii")
        cases.append({"label": str(tmp_path / f"{case}.nii")})
    batches = EpochBatches(20, 4, weights=weights_by_structure(cases, UNKNOWN))
    drawn = Counter()
    for epoch in range(60):
        batches.epoch = epoch
        drawn.update(key % 20 < 2 for batch in batches for key in batch)
    # Half a draw for each of the two, a twentieth for each of the others.
    assert drawn[True] / drawn.total() == pytest.approx(1.0 / (1.0 + 18 / 20), abs=0.05)


def test_a_segmentation_draws_its_cases_by_weight(train, bright_balls, tmp_path):
    train(bright_balls, "segment", parameters={"epochs": 1, "weighted_sampling": True})
    config = json.loads((tmp_path / "model" / "configs" / "train.json").read_text(encoding="utf-8"))
    assert config["train"]["batches"]["weights"] == "$sampling.weights_by_structure(@train_cases, None)"


def test_the_unknown_has_a_value_of_its_own(train, bright_balls):
    with pytest.raises(InputError, match="'ignore_label'"):
        train(bright_balls, "segment", parameters={"ignore_label": 0})
