"""A training may begin with another model's weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser

from medai.errors import InputError
from medai.training import folder
from monai_process import run_bundle


def weights(root: Path) -> dict[str, torch.Tensor]:
    return torch.load(root / folder.WEIGHTS, weights_only=True)


def computed(root: Path, image: torch.Tensor) -> torch.Tensor:
    parser = ConfigParser()
    parser.read_config(str(root / "configs" / "inference.json"))
    network = parser.get_parsed_content("network_def").eval()
    network.load_state_dict(weights(root))
    with torch.inference_mode():
        return network(image)


@pytest.fixture
def hardly_learning(a_trained_ball_finder):
    """One epoch at a learning rate so small that the weights stay where they began."""
    chosen = {"epochs": 1, "learning_rate": 1e-9, "weight_decay": 0.0, "start_from": str(a_trained_ball_finder[0])}
    return chosen | {"augmentation": ["flip"], "schedule": "constant"}


@pytest.fixture
def from_the_ball_finder(train, bright_balls, hardly_learning, tmp_path):
    return tmp_path / "model", train(bright_balls, "segment", parameters=hardly_learning)


def test_it_starts_where_the_other_ended(from_the_ball_finder, a_trained_ball_finder):
    root, result = from_the_ball_finder
    before, after = weights(a_trained_ball_finder[0]), weights(root)
    assert set(before) == set(after)
    assert all(torch.allclose(before[name], after[name], atol=1e-4) for name in before)
    said = next(note for note in result.provenance.notes if "starts from" in note)
    assert f"{len(before)} of the network's {len(before)} tensors" in said
    assert "started from the weights of `ball_finder`" in (root / "docs" / "README.md").read_text(encoding="utf-8")


def test_monai_bundle_run_starts_there_too(from_the_ball_finder, tmp_path):
    root, _ = from_the_ball_finder
    expected = weights(root)
    again = tmp_path / "again"
    for name in ("configs", "runs"):
        shutil.copytree(root / name, again / name)
    (again / "models").mkdir()
    data = json.loads((root / folder.DATALIST).read_text(encoding="utf-8"))
    for part in ("training", "validation"):
        for case in data[part]:
            case.update({key: str((root / "runs" / case[key]).resolve()) for key in ("image", "label")})
    (again / folder.DATALIST).write_text(json.dumps(data), encoding="utf-8")
    run_bundle("--config_file", "configs/train.json", "--bundle_root", ".", "--device_name", "cpu", cwd=again)
    found = weights(again)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_what_has_another_shape_begins_anew(train, bright_balls, a_trained_ball_finder):
    """A flatter patch is not halved along its short axis, so some kernels are smaller."""
    chosen = {"epochs": 1, "patch_size": [16, 16, 8], "start_from": str(a_trained_ball_finder[0])}
    result = train(bright_balls, "segment", parameters=chosen)
    said = next(note for note in result.provenance.notes if "starts from" in note)
    matching, total = (int(word) for word in said.replace("'", " ").split() if word.isdecimal())
    assert 0 < matching < total


@pytest.mark.parametrize("wider", [{"widening": 3.0}, {"width": 6}, {"width": 5, "widening": 2.5}])
def test_a_wider_network_begins_by_computing_what_the_narrow_one_did(
    train, bright_balls, hardly_learning, tmp_path, wider
):
    result = train(bright_balls, "segment", parameters=hardly_learning | wider)
    narrow, wide = Path(hardly_learning["start_from"]), tmp_path / "model"
    image = torch.rand(1, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    expected = computed(narrow, image)
    assert torch.allclose(expected, computed(wide, image), atol=1e-3 * float(expected.abs().max()))
    count = {root: sum(weight.numel() for weight in weights(root).values()) for root in (narrow, wide)}
    assert count[wide] > 1.2 * count[narrow]
    assert "in wider layers" in " ".join(result.provenance.notes)


def test_the_new_channels_of_a_wider_network_are_learned(train, bright_balls, a_trained_ball_finder, tmp_path):
    chosen = {"epochs": 2, "widening": 3.0, "start_from": str(a_trained_ball_finder[0])}
    train(bright_balls, "segment", parameters=chosen)
    name = "skip_layers.downsample.conv1.conv.weight"
    deeper = "bottleneck.conv1.conv.weight"
    before, after = weights(a_trained_ball_finder[0]), weights(tmp_path / "model")
    assert before[name].shape == after[name].shape
    kept, seen = before[deeper].shape[:2]
    heard = after[deeper][:kept, seen:]
    assert heard.numel() > 0
    assert heard.abs().max() > 1e-4


def test_a_narrower_network_takes_only_what_has_its_shape(train, bright_balls, a_trained_ball_finder):
    chosen = {"epochs": 1, "widening": 1.5, "start_from": str(a_trained_ball_finder[0])}
    result = train(bright_balls, "segment", parameters=chosen)
    said = next(note for note in result.provenance.notes if "starts from" in note)
    assert "wider" not in said


def test_a_model_with_nothing_in_common_is_refused(train, bright_balls, a_trained_ball_finder):
    chosen = {"epochs": 1, "network": "segresnet", "start_from": str(a_trained_ball_finder[0])}
    with pytest.raises(InputError, match="cannot start from"):
        train(bright_balls, "segment", parameters=chosen)


def test_a_folder_without_a_model_is_refused_before_anything_is_read(train, bright_balls, tmp_path):
    from medai.errors import MedAIError

    with pytest.raises(MedAIError, match="There is no model at"):
        train(bright_balls, "segment", parameters={"start_from": str(tmp_path / "no" / "model")})
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("itself", [True, False])
def test_a_model_is_not_lost_to_one_that_cannot_begin(train, bright_balls, a_trained_ball_finder, tmp_path, itself):
    shutil.copytree(a_trained_ball_finder[0], tmp_path / "model")
    before = {path: path.read_bytes() for path in (tmp_path / "model").rglob("*") if path.is_file()}
    chosen = {"epochs": 1, "network": "segresnet", "start_from": str(tmp_path / "model")}
    if not itself:
        chosen["start_from"] = str(a_trained_ball_finder[0])
    with pytest.raises(InputError, match="is not overwritten" if itself else "cannot start from"):
        train(bright_balls, "segment", parameters=chosen, overwrite=True)
    assert {path: path.read_bytes() for path in (tmp_path / "model").rglob("*") if path.is_file()} == before
