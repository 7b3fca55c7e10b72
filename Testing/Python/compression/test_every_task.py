"""Each method on a model of each task: what comes out runs, and was judged by the task's own score."""

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
from medai.bundles import integrity
from medai.bundles.pipeline import Pipeline
from medai.training.compression import costing
from medai.training.data import read_data_list
from medai.training.data.voxels import read_source
from medai.training.recipe.networks import network
from small_bundles import unet, write_bundle
from small_classifiers import Classifier
from small_restorers import autoencoder, denoiser, translator

DETECTOR = Path(__file__).parents[3] / "models" / "breast_us_lesion_detector"
SCORES = {
    "classify": "auroc",
    "detect": "map@0.50",
    "denoise": "psnr_db",
    "encode": "psnr_db",
    "translate": "psnr_db",
}
METHODS = ["quantize", "prune", "distill", "decompose"]


def with_network(root: Path, given: dict[str, Any]) -> Path:
    """The bundle with another network, of random weights."""
    path = root / "configs" / "inference.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, "network_def": given}), encoding="utf-8")
    torch.manual_seed(1)
    made = ConfigParser({"network_def": given}).get_parsed_content("network_def")
    torch.save(made.state_dict(), root / "models" / "model.pt")
    integrity.write_pins(root)
    return root


def a_classifier(root: Path) -> Path:
    resnet = {
        "_target_": "ResNet",
        "block": "basic",
        "layers": [1, 1, 1, 1],
        "block_inplanes": [4, 8, 8, 16],
        "spatial_dims": 2,
        "n_input_channels": 1,
        "num_classes": 2,
        "conv1_t_size": 3,
    }
    return with_network(Classifier(dimensions=2).write(root), resnet)


def a_detector(root: Path) -> Path:
    shutil.copytree(DETECTOR, root, ignore=shutil.ignore_patterns("docs", "runs", "*.pt", "SHA256SUMS"))
    (root / "models").mkdir(exist_ok=True)
    content = json.loads((root / "configs" / "inference.json").read_text(encoding="utf-8"))["network_def"]
    extractor = {**content["feature_extractor"], "filters": [4, 8, 8], "out_channels": 8}
    return with_network(root, {**content, "feature_extractor": extractor})


def a_denoiser(root: Path) -> Path:
    """Its network knows its layers by two names each."""
    dynunet = {
        "_target_": "DynUNet",
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 1,
        "kernel_size": [3, 3, 3],
        "strides": [1, 2, 2],
        "upsample_kernel_size": [2, 2],
        "filters": [8, 16, 16],
        "norm_name": "instance",
    }
    return with_network(write_bundle(root, denoiser()), dynunet)


def a_denoiser_of_wavelets(root: Path) -> Path:
    """A network within another, which has no weights of its own."""
    made = network("wavelet_segresnet", (8, 8, 8), 1, 1, width=8, dropout=0.0, levels=2)
    return with_network(write_bundle(root, denoiser()), made)


def an_autoencoder(root: Path) -> Path:
    return with_network(
        write_bundle(root, autoencoder()), {**autoencoder().network, "channels": [8, 12, 6], "strides": [2, 2, 1]}
    )


def a_translator(root: Path) -> Path:
    return with_network(write_bundle(root, translator()), {**unet(3, 1, 1), "channels": [8, 16]})


def count(root: Path) -> int:
    """Weights in a bundle's file, each once."""
    state = torch.load(root / "models" / "model.pt", weights_only=True)
    return sum({value.data_ptr(): value.numel() for value in state.values()}.values())


MODELS = {
    "classify": a_classifier,
    "detect": a_detector,
    "denoise": a_denoiser,
    "denoise by wavelets": a_denoiser_of_wavelets,
    "encode": an_autoencoder,
    "translate": a_translator,
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Bright and dark pictures in a folder for each."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(2)
    for name, bright in (("normal", 40), ("lesion", 160)):
        (folder / name).mkdir()
        for number in range(6):
            picture = np.clip(rng.normal(bright, 40, (32, 32)), 0, 255).astype(np.uint8)
            Image.fromarray(picture).save(folder / name / f"{name}{number}.png")
    return folder


@pytest.fixture(scope="module")
def lesions(tmp_path_factory) -> Path:
    """Pictures with a bright spot, and masks of it."""
    folder = tmp_path_factory.mktemp("lesions")
    rng = np.random.default_rng(3)
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for number in range(6):
        mask = np.zeros((64, 64), np.uint8)
        row, column = rng.integers(8, 40, 2)
        mask[row : row + 14, column : column + 14] = 255
        picture = np.clip(rng.normal(60, 10, mask.shape) + 0.5 * mask, 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / "images" / f"p{number}.png")
        Image.fromarray(mask).save(folder / "labels" / f"p{number}.png")
    return folder


@pytest.fixture(scope="module")
def pairs(some_cases, tmp_path_factory) -> Path:
    """Every image with another one that it is to be made into."""
    path = tmp_path_factory.mktemp("pairs") / "pairs.json"
    images = sorted(str(image) for image in (some_cases / "images").iterdir())
    made = [{"image": image, "target": images[n - 1], "patient": f"p{n}"} for n, image in enumerate(images)]
    path.write_text(json.dumps({"training": made[:4], "validation": made[4:]}), encoding="utf-8")
    return path


@pytest.fixture
def data(some_cases, pictures, lesions, pairs) -> dict[str, Path]:
    return {
        "classify": pictures,
        "detect": lesions,
        "denoise": some_cases,
        "encode": some_cases,
        "translate": pairs,
    }


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", MODELS)
def test_a_model_of_each_task_by_each_method(model, method, data, tmp_path, command):
    root = MODELS[model](tmp_path / "models" / "small")
    task = model.partition(" ")[0]
    kind = ["--kind", "boxes"] if task == "detect" else []
    given = ["--data", data[task], *kind, "--energy", 0.6]
    rows = command(root, method, *given, "--set", "epochs=1", "--set", "batch_size=2", "--set", "patches=1")
    assert SCORES[task] in rows
    (made,) = [path for path in root.parent.iterdir() if path != root]
    assert count(made) <= count(root)
    card = (made / "docs" / "README.md").read_text(encoding="utf-8")
    trained = " --set epochs=1 --set batch_size=2 --set patches=1" if method != "quantize" else ""
    assert f"--method {method} --data DATA{' --energy 0.6' * (method == 'decompose')}{trained}\n" in card
    before, after = Pipeline(root, "cpu"), Pipeline(made, "cpu")
    image = read_source(read_data_list(data[task])[0].files["image"][0])
    found = [pipeline.infer(pipeline.preprocess((image,)))["pred"] for pipeline in (before, after)]
    if isinstance(found[0], torch.Tensor):
        assert found[0].shape == found[1].shape
        assert bool(torch.isfinite(found[1]).all())
    else:
        assert set(found[0]) == set(found[1])


def test_the_code_of_a_pruned_autoencoder_is_as_long_as_before(some_cases, tmp_path, monkeypatch):
    cost = costing.Cost(1, 1, 1, 1.0, 1.0)
    monkeypatch.setattr(costing, "costs", lambda *_: (cost, cost, float("nan")))
    root = an_autoencoder(tmp_path / "coder")
    medai.compress_model(
        root, "decompose", some_cases, energy=0.5, parameters={"epochs": 1, "patches": 1}, in_process=True
    )
    image = read_source(read_data_list(some_cases)[0].files["image"][0])
    before, after = (medai.encode(image, place, in_process=True).table for place in (root, tmp_path / "coder_lowrank"))
    assert list(before.columns) == list(after.columns)
