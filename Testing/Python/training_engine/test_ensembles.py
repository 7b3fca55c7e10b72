"""A classifier of several networks, each of which learns for itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from sklearn.metrics import roc_auc_score
from torch.nn import functional

import medai
from medai.bundles import trust
from medai.bundles.pipeline import Pipeline
from medai.errors import BundleError, JobCancelled
from medai.networks import Ensemble
from medai.tasks.explain.grad_cam import GradCAMInferer
from medai.training.components import growth
from medai.training.components.losses import FindingsLoss
from medai.training.components.members import MembersLoss
from medai.training.components.sampling import EpochBatches
from medai.volume import Volume
from monai_process import run_bundle

pytestmark = pytest.mark.usefixtures("one_thread")

THREE = {
    "members": 3,
    "epochs": 4,
    "batch_size": 8,
    "network": "resnet10",
    "width": 4,
    "augmentation": ["flip"],
    "ema": 0.2,
    "learning_rate": 0.01,
    "schedule": "constant",
}


@pytest.fixture
def an_ensemble() -> Ensemble:
    """Of three networks of one layer each."""
    torch.manual_seed(1)
    members = [torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2)) for _ in range(3)]
    return Ensemble(members, apart=True)


@pytest.fixture(scope="session")
def three_spot_finders(bright_spots, tmp_path_factory) -> Path:
    """A model of three networks that has learned to tell pictures with a spot."""
    root = tmp_path_factory.mktemp("three") / "three"
    medai.train(bright_spots, "classify", root, parameters=THREE, in_process=True, device="cpu")
    return root


def weights(root: Path) -> dict[str, torch.Tensor]:
    return torch.load(root / "models" / "model.pt", weights_only=True)


def test_its_answer_is_the_mean_of_its_members(an_ensemble):
    images = torch.rand(5, 1, 4, 4)
    expected = sum(member(images) for member in an_ensemble.members) / 3
    torch.testing.assert_close(an_ensemble.eval()(images), expected)


def test_in_training_each_member_sees_its_own_share_and_steps_as_it_would_alone(an_ensemble):
    images, labels = torch.rand(6, 1, 4, 4), torch.tensor([0, 1, 1, 0, 1, 0])
    loss = MembersLoss([FindingsLoss("cross_entropy") for _ in range(3)])
    found = loss(an_ensemble.train()(images), labels)
    found.backward()
    alone = []
    for n, member in enumerate(an_ensemble.members):
        one = functional.cross_entropy(member(images[2 * n : 2 * n + 2]), labels[2 * n : 2 * n + 2])
        alone.append(one.item())
        (expected,) = torch.autograd.grad(one, [member[1].weight])
        torch.testing.assert_close(member[1].weight.grad, expected)
    assert found.item() == pytest.approx(np.mean(alone), rel=1e-5)


def test_each_member_has_an_order_and_random_numbers_of_its_own():
    batches = EpochBatches(12, 4, seed=1, members=2)
    batches.epoch = 3
    keys = np.array(list(batches))
    assert keys.shape == (3, 8)
    first, second = keys[:, :4].flatten(), keys[:, 4:].flatten()
    assert sorted(first % 12) == sorted(second % 12) == list(range(12))
    assert list(first % 12) != list(second % 12)
    assert not set(first // 12) & set(second // 12)
    batches.epoch = 4
    assert not {key // 12 for batch in batches for key in batch} & {*(first // 12), *(second // 12)}


def test_one_member_sees_what_a_network_without_others_sees():
    alone, one = EpochBatches(12, 4, seed=1), EpochBatches(12, 4, seed=1, members=1)
    alone.epoch = one.epoch = 2
    assert list(alone) == list(one)


def test_several_networks_learn_a_planted_signal_each_for_itself(three_spot_finders, bright_spots):
    state = weights(three_spot_finders)
    first, second = (state[f"members.{n}.conv1.weight"] for n in (0, 1))
    assert not torch.equal(first, second)
    held_out = np.load(bright_spots)
    pipeline = Pipeline(three_spot_finders, "cpu", "inference")
    scores = []
    for picture in held_out["val_images"]:
        logits = pipeline.infer(pipeline.preprocess((Volume(picture[None], np.eye(4)),)))["pred"].flatten()
        scores.append(float(logits[1] - logits[0]))
    assert roc_auc_score(held_out["val_labels"][:, 0], scores) > 0.95
    said = (three_spot_finders / "docs" / "README.md").read_text(encoding="utf-8")
    assert "3 networks (resnet10) that learned side by side" in said


def test_monai_bundle_run_gives_the_same_probabilities(three_spot_finders, bright_spots, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    picture = np.load(bright_spots)["val_images"][1]
    sitk.WriteImage(sitk.GetImageFromArray(picture), str(data / "spot.png"))
    places = ["--bundle_root", ".", "--dataset_dir", data, "--output_dir", tmp_path / "out"]
    run_bundle("--config_file", "configs/inference.json", *places, cwd=three_spot_finders)
    theirs = [float(text) for text in (tmp_path / "out" / "predictions.csv").read_text("utf-8").split(",")[1:]]
    table = medai.classify(data / "spot.png", three_spot_finders, in_process=True, device="cpu").table
    ours = next(values for name, values in table.columns.items() if "probability" in name.lower())
    assert sorted(theirs) == pytest.approx(sorted(ours), abs=1e-4)


def test_an_interrupted_training_goes_on_to_the_same_weights(train, bright_spots, three_spot_finders, tmp_path):
    def stop(progress):
        if progress.note.startswith("Epoch 2 "):
            raise JobCancelled("The job was cancelled.")

    with pytest.raises(JobCancelled):
        train(bright_spots, "classify", "parts", parameters=THREE, on_progress=stop)
    train(bright_spots, "classify", "parts", parameters=THREE)
    whole, parts = weights(three_spot_finders), weights(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_masks_guide_each_member(train, bright_spots, tmp_path):
    pictures = np.load(bright_spots)
    entries = []
    for n, (picture, label) in enumerate(
        zip(pictures["train_images"][:16], pictures["train_labels"][:16, 0], strict=True)
    ):
        for name, array in ((f"{n}.png", picture), (f"{n}_mask.png", np.uint8(255) * (picture > 130))):
            sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / name))
        entries.append({"image": f"{n}.png", "mask": f"{n}_mask.png", "label": int(label)})
    path = tmp_path / "list.json"
    path.write_text(json.dumps({"training": entries[:10], "validation": entries[10:]}), encoding="utf-8")
    train(path, "classify", "guided", parameters={**THREE, "members": 2, "epochs": 2, "mask_guidance": 1.0})
    configuration = json.loads((tmp_path / "guided" / "configs" / "train.json").read_text(encoding="utf-8"))
    assert [loss["stage"] for loss in configuration["loss"]["losses"]] == ["members.0.layer3", "members.1.layer3"]
    assert not [name for name in weights(tmp_path / "guided") if "marking" in name]


def test_a_narrower_copy_learns_as_one_network(three_spot_finders, bright_spots, tmp_path):
    made = tmp_path / "narrower"
    chosen = {"parameters": {"epochs": 1}, "ratio": 0.5, "in_process": True, "device": "cpu"}
    medai.compress_model(three_spot_finders, "prune", bright_spots, output=made, **chosen)
    assert len({name.split(".")[1] for name in weights(made)}) == 3
    assert weights(made)["members.0.conv1.weight"].shape[0] == 2


def test_every_member_can_begin_with_the_weights_of_one_network(an_ensemble):
    single = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
    growth.begin_with(an_ensemble, single.state_dict())
    assert all(torch.equal(member[1].weight, single[1].weight) for member in an_ensemble.members)


def test_its_map_is_the_mean_of_its_members_maps():
    torch.manual_seed(2)
    members = [
        torch.nn.Sequential(
            torch.nn.Conv2d(1, 3, 3, padding=1),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
            torch.nn.Linear(3, 2),
        )
        for _ in range(2)
    ]
    ensemble, image = Ensemble(members).eval(), torch.rand(1, 1, 12, 12)
    maps = [GradCAMInferer(member.eval(), 1, exclusive=True)(image, member) for member in members]
    cam = GradCAMInferer(ensemble, 1, exclusive=True)
    torch.testing.assert_close(cam(image, ensemble), (maps[0] + maps[1]) / 2)
    assert cam.layer == "0"


@pytest.mark.parametrize("members", ["$print()", {"_target_": "ResNet"}, ["$print()"], [{"_target_": "os.system"}]])
def test_a_configuration_may_ask_for_networks_as_members_and_nothing_else(three_spot_finders, tmp_path, members):
    root = tmp_path / "other"
    shutil.copytree(three_spot_finders, root, ignore=shutil.ignore_patterns("SHA256SUMS"))
    path = root / "configs" / "inference.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["network_def"]["members"] = members
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(BundleError):
        trust.checked(root)


def test_a_model_of_several_networks_needs_nobodys_trust(three_spot_finders):
    trust.checked(three_spot_finders)
