"""Every bundle of `small_bundles` run by MONAI itself."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from medai.volume import Volume
from small_bundles import RECIPES, Recipe, images_for, write_bundle, write_nifti

DRIVER = """
import json, sys
import monai.bundle

for root, config, meta in json.loads(sys.argv[1]):
    monai.bundle.run(run_id="run", config_file=config, meta_file=meta, bundle_root=root)
"""


@dataclass
class Reference:
    """A bundle, its input, and what ``monai.bundle run`` wrote for it."""

    root: Path
    recipe: Recipe
    volumes: tuple[Volume, ...]
    labels: np.ndarray  # (I, J, K[, C]) as in the file
    affine: np.ndarray


@pytest.fixture(scope="session")
def references(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reference]:
    """Every recipe run by MONAI itself, all in one process of its own because its imports take seconds."""
    base = tmp_path_factory.mktemp("bundles")
    calls = []
    for name, recipe in RECIPES.items():
        root = write_bundle(base / name, recipe)
        for number, volume in enumerate(images_for(recipe)):
            write_nifti(volume, root / "input" / f"image{number}.nii")
        configs = root / "configs"
        calls.append([str(root), str(configs / f"inference{recipe.suffix}"), str(configs / "metadata.json")])
    subprocess.run(
        [sys.executable, "-c", DRIVER, json.dumps(calls)], check=True, cwd=base, capture_output=True, timeout=240
    )
    found = {}
    for name, recipe in RECIPES.items():
        (path,) = (base / name / "eval").glob("*.nii.gz")
        image = nibabel.load(path)
        found[name] = Reference(base / name, recipe, images_for(recipe), np.asanyarray(image.dataobj), image.affine)
    return found


@pytest.fixture
def a_bundle(tmp_path: Path) -> Callable[..., Path]:
    """Write a bundle made from a recipe, changed as asked."""

    def write(name: str = "spacing_orientation", **changes: Any) -> Path:
        recipe = copy.deepcopy(RECIPES[name])
        for key, value in changes.items():
            setattr(recipe, key, value)
        return write_bundle(tmp_path / name, recipe)

    return write


@pytest.fixture
def an_image() -> Callable[[str], tuple[Volume, ...]]:
    """The images a recipe takes."""
    return lambda name="spacing_orientation": images_for(RECIPES[name])
