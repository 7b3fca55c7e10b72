"""Pruned, distilled and decomposed models: smaller, trained, and bundles like any other."""

from __future__ import annotations

import json

import numpy as np
import pytest

import medai
from medai.bundles import integrity
from medai.bundles.verify import verify
from medai.errors import InputError

METHODS = ["prune", "distill", "decompose"]


@pytest.mark.parametrize("method", METHODS)
def test_it_is_a_sound_smaller_bundle_that_says_what_it_was_made_of(method, a_model, compressed):
    before = integrity.digest(a_model)
    root, result = compressed(method)
    found = dict(zip(result.table.columns["Quantity"], result.table.columns["After / before"], strict=True))
    assert verify(root).ok
    assert found["Parameters"] < 1
    assert found["dice"] > 0.2
    assert integrity.digest(a_model) == before
    about = json.loads((root / "configs" / "metadata.json").read_text(encoding="utf-8"))["medai"]["compressed"]
    assert (about["from"], about["method"]) == ("tiny", method)
    assert not (root / "configs" / "train.json").exists()
    assert any("references of" in note for note in result.provenance.notes)


@pytest.mark.parametrize("method", METHODS)
def test_monai_runs_it_and_finds_the_same_labels(method, compressed, an_image, bundle_run):
    root, _ = compressed(method)
    found = medai.segment(an_image, root, in_process=True, backend="torch").labelmap.array
    np.testing.assert_array_equal(bundle_run(root, an_image), found)


def test_training_goes_on_from_what_was_left(a_model, some_cases, tmp_path, monkeypatch):
    """Without a step that matters, what is left of a network at full rank is the network."""
    from medai.training.compression import costing

    cost = costing.Cost(1, 1, 1, 1.0, 1.0)
    monkeypatch.setattr(costing, "costs", lambda *_: (cost, cost, float("nan")))
    result = medai.compress_model(
        a_model,
        "decompose",
        some_cases,
        output=tmp_path / "same",
        energy=1.0,
        parameters={"epochs": 1, "learning_rate": 1e-9, "weight_decay": 0, "ema": 0},
        in_process=True,
    )
    rows = dict(zip(result.table.columns["Quantity"], result.table.columns["After"], strict=True))
    assert rows["dice"] > 0.999


def test_a_network_that_cannot_be_narrowed_is_refused_and_leaves_nothing(tmp_path, some_cases, a_model):
    import shutil

    root = shutil.copytree(a_model, tmp_path / "library" / "odd")
    path = root / "configs" / "inference.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["network_def"] = "$torch.nn.Sequential(torch.nn.Conv3d(1, 3, 1))"
    path.write_text(json.dumps(content), encoding="utf-8")
    import torch

    torch.save(torch.nn.Sequential(torch.nn.Conv3d(1, 3, 1)).state_dict(), root / "models" / "model.pt")
    integrity.write_pins(root)
    with pytest.raises(InputError, match="cannot be made narrower"):
        medai.compress_model(root, "prune", some_cases, in_process=True)
    assert [path.name for path in root.parent.iterdir()] == ["odd"]
