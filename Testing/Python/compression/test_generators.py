"""Generators by each method: the same codes give nearly the same images, without any patient's data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from PIL import Image

import medai
from medai.bundles import integrity, quantized
from medai.bundles.pipeline import Pipeline
from medai.bundles.verify import verify
from medai.errors import InputError
from medai.training.compression.prune import pruned
from medai.training.compression.widths import narrowed
from small_generators import write_generator

MODELS = Path(__file__).parents[3] / "models"
METHODS = ["quantize", "prune", "distill", "decompose"]


def shrunk(name: str, root: Path, width: int) -> Path:
    """A shipped generator with so few channels at most, of random weights."""
    shutil.copytree(MODELS / name, root, ignore=shutil.ignore_patterns("docs", "train.json", "*.pt", "SHA256SUMS"))
    (root / "models").mkdir(exist_ok=True)
    path = root / "configs" / "inference.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    cells = content["spread"]["out_features"] // 64
    content["spread"]["out_features"] = cells * width
    content["folded"] = content["folded"].replace("(64,", f"({width},")
    makers = [key for key in content if key.startswith(("look_", "double_"))]
    for key in makers:
        content[key]["in_channels"] = width
        if key != makers[-1]:
            content[key]["out_channels"] = width
    path.write_text(json.dumps(content), encoding="utf-8")
    torch.manual_seed(2)
    torch.save(network_of(content).state_dict(), root / "models" / "model.pt")
    integrity.write_pins(root)
    return root


def network_of(content: dict[str, Any]) -> torch.nn.Module:
    kept = {key: value for key, value in content.items() if key.startswith(("spread", "folded", "look_", "double_"))}
    made = ConfigParser({**kept, "network_def": content["network_def"]}).get_parsed_content("network_def")
    return made.eval()


@pytest.fixture(scope="module")
def of_volumes(tmp_path_factory) -> Path:
    """Volumes with label maps."""
    return shrunk("hippocampus_mr_gan", tmp_path_factory.mktemp("generators") / "dreamer", 6)


@pytest.fixture(scope="module")
def of_pictures(tmp_path_factory) -> Path:
    """Pictures that show what they are asked for."""
    return shrunk("breast_us_gan", tmp_path_factory.mktemp("generators") / "painter", 8)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["of_volumes", "of_pictures"])
def test_a_generator_by_each_method(kind, method, request, tmp_path, command):
    root, output = request.getfixturevalue(kind), tmp_path / "smaller"
    few = ["--energy", 0.5, "--calibration", 24, "--set", "epochs=1", "--set", "batch_size=16"]
    rows = command(root, method, "--output", output, *few)
    assert ("dice_to_original" in rows) == (kind == "of_volumes")
    assert verify(output).ok
    before, after = (list(medai.synthesize(place, count=2, seed=5, in_process=True)) for place in (root, output))
    shapes = [[item.array.shape for result in made for item in result.items] for made in (before, after)]
    assert shapes[0] == shapes[1]
    networks = [Pipeline(place, "cpu").network for place in (root, output)]
    weights = [sum(one.numel() for one in network.parameters()) for network in networks]
    if method == "quantize":
        assert quantized.in_int8(networks[1])
        assert rows["ssim_to_original"]["After"] > 0.8
        assert any("8-bit" in note for note in Pipeline(output, "cpu").notes)
    else:
        assert weights[1] < weights[0]


def test_with_real_images_the_distance_from_them_is_judged_too(of_pictures, tmp_path, command):
    rng = np.random.default_rng(1)
    (tmp_path / "real").mkdir()
    for number in range(20):
        Image.fromarray(rng.integers(0, 255, (64, 64), np.uint8)).save(tmp_path / "real" / f"p{number}.png")
    given = ["--data", tmp_path / "real", "--output", tmp_path / "small", "--calibration", 8]
    assert {"fid", "ssim_to_original"} <= set(command(of_pictures, "quantize", *given))


@pytest.mark.parametrize("name", ["hippocampus_mr_gan", "breast_us_gan"])
def test_whole_channels_of_an_unfolded_code_are_kept_or_go(name):
    content = json.loads((MODELS / name / "configs" / "inference.json").read_text(encoding="utf-8"))
    torch.manual_seed(0)
    large, small = network_of(content), network_of(narrowed(content, 0.25, name))
    code = torch.randn(1, content["spread"]["in_features"])
    state = pruned(large, small, (code,), name)
    small.load_state_dict(state)
    assert small(code).shape == large(code).shape
    cells = content["spread"]["out_features"] // 64
    rows = state["0.weight"].reshape(-1, cells, code.shape[1])
    whole = large.state_dict()["0.weight"].reshape(-1, cells, code.shape[1])
    assert len(rows) == 48
    assert all(any(torch.equal(row, each) for each in whole) for row in rows)


def test_too_few_real_images_are_refused_before_anything_is_made(of_pictures, tmp_path):
    (tmp_path / "real").mkdir()
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(tmp_path / "real" / "one.png")
    with pytest.raises(InputError, match="too few images"):
        medai.compress_model(of_pictures, "prune", tmp_path / "real", output=tmp_path / "small", in_process=True)


def test_a_generator_whose_code_is_not_described_is_refused(tmp_path):
    root = write_generator(tmp_path / "models" / "odd")
    about = root / "configs" / "metadata.json"
    metadata = json.loads(about.read_text(encoding="utf-8"))
    metadata["network_data_format"]["inputs"] = {}
    about.write_text(json.dumps(metadata), encoding="utf-8")
    integrity.write_pins(root)
    with pytest.raises((InputError, medai.errors.BundleError)):
        medai.compress_model(root, "distill", in_process=True)
    assert [path.name for path in root.parent.iterdir()] == ["odd"]
