"""A classifier that is shown where its answer lies."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from ignite.engine import Engine
from torch.nn import functional

from medai.errors import InputError
from medai.training.components.guidance import GuidedLoss, KnownMask, WithMask
from medai.training.components.losses import FindingsLoss

NAN = math.nan


@pytest.fixture
def spots_with_masks(tmp_path):
    """Pictures of a round (class 0) or a square (class 1) spot with its mask; two of each have no mask."""
    rng = np.random.default_rng(3)
    entries = []
    grid = np.mgrid[:20, :20]
    for n in range(24):
        i, j = rng.integers(6, 13, 2)
        far = np.abs(grid - np.array([i, j])[:, None, None])
        spot = (np.hypot(*far) < 5) if n % 2 == 0 else (far.max(axis=0) < 4)
        picture = rng.integers(0, 60, (20, 20)) + 120 * spot
        for name, array in ((f"{n}.png", picture), (f"{n}_mask.png", 255 * spot)):
            sitk.WriteImage(sitk.GetImageFromArray(array.astype(np.uint8)), str(tmp_path / name))
        mask = {"mask": f"{n}_mask.png"} if n >= 4 else {}
        entries.append({"image": f"{n}.png", "label": n % 2, **mask})
    path = tmp_path / "list.json"
    content = {"labels": {"0": "round", "1": "square"}, "training": entries[:16], "validation": entries[16:]}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.fixture
def a_listened_network():
    """A network whose stage is known, and the loss that listens to it."""
    network = torch.nn.Sequential()
    network.add_module("layer3", torch.nn.Conv2d(1, 2, 1))
    network.add_module("rest", torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2 * 16, 2)))
    loss = GuidedLoss(FindingsLoss("cross_entropy"), stage="layer3", channels=2, classes=2, spatial_dims=2, weight=3.0)
    engine = Engine(lambda *_: None)
    engine.network = network
    loss.attach(engine)
    engine.run([0])
    return network, loss


def test_each_class_is_marked_where_its_mask_is(a_listened_network):
    network, loss = a_listened_network
    image = torch.rand(2, 1, 4, 4)
    mask = torch.zeros(2, 1, 8, 8)
    mask[:, :, :4] = 1
    label = torch.tensor([0, 1])
    logits = network(image)
    wanted = torch.zeros(2, 2, 4, 4)
    wanted[0, 0, :2] = wanted[1, 1, :2] = 1
    marks = loss.marking(network.layer3(image))
    marked = functional.binary_cross_entropy_with_logits(marks, wanted) * 2
    expected = functional.cross_entropy(logits, label) + 3 * marked
    assert loss(logits, {"label": label, "mask": mask}).item() == pytest.approx(expected.item(), rel=1e-5)


def test_cases_without_a_mask_or_a_class_are_not_marked(a_listened_network):
    network, loss = a_listened_network
    logits = network(torch.rand(2, 1, 4, 4))
    target = {"label": torch.tensor([0.0, NAN]), "mask": torch.stack([torch.full((1, 4, 4), NAN), torch.ones(1, 4, 4)])}
    plain = functional.cross_entropy(logits[:1], torch.tensor([0]))
    assert loss(logits, target).item() == pytest.approx(plain.item(), rel=1e-5)


def test_a_mask_is_zeros_and_ones_or_not_known():
    known = KnownMask((2, 2))
    assert known({"mask": torch.tensor([[[0, 255], [3, 0]]])})["mask"].tolist() == [[[0, 1], [1, 0]]]
    assert torch.isnan(known({})["mask"]).all()
    batch = {"image": torch.zeros(1, 1, 2, 2), "label": torch.tensor([1]), "mask": torch.ones(1, 1, 2, 2)}
    assert set(WithMask()(batch, "cpu")[1]) == {"label", "mask"}


def test_a_guided_training_learns_goes_on_and_leaves_no_trace_in_the_model(train, spots_with_masks, tmp_path):
    chosen = {"epochs": 12, "network": "resnet10", "mask_guidance": 1.0, "ema": 0.2, "batch_size": 4, "cache": 0.0}
    result = train(spots_with_masks, "classify", "guided", parameters=chosen)
    losses = next(table for table in result.items if table.name == "training").columns["Loss"]
    assert losses[-1] < 0.8 * losses[0]
    weights = torch.load(tmp_path / "guided" / "models" / "model.pt", weights_only=True)
    assert not [name for name in weights if "marking" in name]
    inference = json.loads((tmp_path / "guided" / "configs" / "inference.json").read_text(encoding="utf-8"))
    assert "mask" not in json.dumps(inference["preprocessing"])


def test_a_network_without_a_stage_for_it_is_refused(train, spots_with_masks):
    chosen = {"network": "densenet121", "mask_guidance": 1.0, "patch_size": [32, 32]}
    with pytest.raises(InputError, match="mask_guidance") as refused:
        train(spots_with_masks, "classify", parameters=chosen)
    assert "has no stage" in refused.value.why


def test_a_segmentation_has_no_need_of_it(train, bright_balls):
    with pytest.raises(InputError, match="mask_guidance") as refused:
        train(bright_balls, "segment", parameters={"mask_guidance": 1.0})
    assert "Only a classifier" in refused.value.why


def test_data_without_masks_cannot_guide(train, bright_spots):
    with pytest.raises(InputError, match="mask_guidance") as refused:
        train(bright_spots, "classify", parameters={"mask_guidance": 1.0})
    assert "No case" in refused.value.why
