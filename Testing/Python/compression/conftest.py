"""A tiny segmenter, and cases whose references are what it finds, so that its own score is 1."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

import medai
from medai.bundles import integrity
from medai.result import Result
from medai.training.compression import costing
from medai.volume import Volume
from monai_process import run_bundle
from small_bundles import ARGMAX, LOAD, SAVE, Recipe, images_for, unet, write_bundle, write_nifti

MR = {"medai": {"task": "segment", "modality": "MR", "title": "Tiny"}}
WINDOWS = {"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 16], "sw_batch_size": 2, "overlap": 0.25}
PRE = [LOAD, {"_target_": "NormalizeIntensityd", "keys": "image"}, {"_target_": "EnsureTyped", "keys": "image"}]
LABELS = {"0": "background", "1": "core", "2": "rim"}

MEASURED = ("quantize",)
"""Methods of which time and memory are measured, with every form there is: it takes three processes."""


def _one_second(task: dict[str, Any], *_: object) -> dict[str, Any]:
    return {"bytes": 1.0} if task["memory"] else {root: [1.0] for root in task["roots"]}


def recipe_of(network: dict[str, Any], seed: int = 7) -> Recipe:
    return Recipe(network, PRE, [ARGMAX, SAVE], WINDOWS, LABELS, ((20, 18, 22),), seed=seed, about=MR)


@pytest.fixture(scope="session")
def a_model(tmp_path_factory) -> Path:
    network = {**unet(3, 1, 3), "channels": [8, 16], "num_res_units": 1}
    root = write_bundle(tmp_path_factory.mktemp("models") / "tiny", recipe_of(network))
    (root / "docs").mkdir()
    (root / "docs" / "README.md").write_text("# Tiny\n\nA card.\n", encoding="utf-8")
    integrity.write_pins(root)
    return root


@pytest.fixture(scope="session")
def some_cases(a_model, tmp_path_factory) -> Path:
    """Six images with the labels that the model finds in them."""
    folder = tmp_path_factory.mktemp("cases")
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for number in range(6):
        (volume,) = images_for(recipe_of(unet(3, 1, 3), seed=100 + number))
        found = medai.segment(volume, a_model, in_process=True, backend="torch").labelmap
        write_nifti(volume, folder / "images" / f"case_{number}.nii")
        write_nifti(Volume(found.array, found.affine, "label"), folder / "labels" / f"case_{number}.nii")
    return folder


@pytest.fixture
def command(monkeypatch) -> Callable[..., dict[str, dict[str, Any]]]:
    """``medai models compress``, in this process and without measuring time: the rows of its table by quantity."""
    from typer.testing import CliRunner

    from medai.api import compressing
    from medai.api.running import run_here
    from medai.cli import app

    cost = costing.Cost(1, 1, 1, 1.0, 1.0)
    monkeypatch.setattr(costing, "costs", lambda *_: (cost, cost, float("nan")))
    monkeypatch.setattr(compressing, "run", lambda job, _, on_progress, **__: run_here(job, on_progress))

    def call(root: Path, method: str, *options: object) -> dict[str, dict[str, Any]]:
        done = CliRunner().invoke(
            app, ["models", "compress", str(root), "--method", method, "--json", *map(str, options)]
        )
        assert done.exit_code == 0, done.output
        return {row["Quantity"]: row for row in json.loads(done.stdout)["comparison"]}

    return call


@pytest.fixture
def an_image() -> Volume:
    (volume,) = images_for(recipe_of(unet(3, 1, 3), seed=55))
    return volume


@pytest.fixture(scope="session")
def compressed(a_model, some_cases, tmp_path_factory) -> Callable[[str], tuple[Path, Result]]:
    """The model by each method, made once."""
    made: dict[str, tuple[Path, Result]] = {}

    def make(method: str) -> tuple[Path, Result]:
        if method not in made:
            output = tmp_path_factory.mktemp("compressed") / f"tiny_{method}"
            with pytest.MonkeyPatch.context() as patch:
                if method not in MEASURED:
                    patch.setattr(costing, "_measured", _one_second)
                result = medai.compress_model(
                    a_model,
                    method,
                    some_cases,
                    output=output,
                    parameters={"epochs": 2, "batch_size": 2, "patches": 2},
                    in_process=True,
                )
            made[method] = output, result
        return made[method]

    return make


@pytest.fixture
def bundle_run(tmp_path) -> Callable[[Path, Volume], np.ndarray]:
    """Labels that MONAI itself finds with a bundle, shape (K, J, I)."""

    def run(root: Path, volume: Volume) -> np.ndarray:
        (tmp_path / "input").mkdir()
        write_nifti(volume, tmp_path / "input" / "image.nii")
        places = {"config_file": root / "configs" / "inference.json", "bundle_root": root}
        places |= {"dataset_dir": tmp_path / "input", "output_dir": tmp_path / "eval"}
        run_bundle(*(f"--{name}={path}" for name, path in places.items()), cwd=tmp_path)
        (path,) = (tmp_path / "eval").glob("*.nii.gz")
        return np.asanyarray(nibabel.load(path).dataobj).squeeze().transpose(2, 1, 0)

    return run
