"""Small pictures with planted bright squares, a list of them, and a detector that has learned to find them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

import medai
from medai.training.data import check, read_data_list, split
from medai.training.parameters import TrainingParameters
from medai.training.recipe import plan
from medai.training.recipe.plan import Plan

SMALL: dict[str, object] = {"epochs": 24, "width": 16, "patch_size": [48, 48], "batch_size": 4, "learning_rate": 0.01}


@pytest.fixture(scope="session")
def bright_squares(tmp_path_factory) -> Path:
    """A folder of 24 noisy pictures with up to two bright squares each, and a mask of them."""
    folder = tmp_path_factory.mktemp("squares") / "squares"
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(24):
        shape = (40, 48 + 4 * (number % 3))
        picture, mask = rng.integers(0, 80, shape), np.zeros(shape, np.uint8)
        for _ in range(number % 3):
            edge = rng.integers(9, 15)
            row, column = rng.integers(0, shape[0] - edge), rng.integers(0, shape[1] - edge)
            picture[row : row + edge, column : column + edge] = 200
            mask[row : row + edge, column : column + edge] = 255
        for kind, array in (("images", picture.astype(np.uint8)), ("masks", mask)):
            sitk.WriteImage(sitk.GetImageFromArray(array), str(folder / kind / f"p_{number:02}.png"))
    return folder


@pytest.fixture(scope="session")
def bright_blocks(tmp_path_factory) -> Path:
    """A folder of eight oblique, anisotropic volumes with one bright block each, and a label map of it."""
    folder = tmp_path_factory.mktemp("blocks") / "blocks"
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    rng = np.random.default_rng(3)
    cosine, sine = np.cos(0.2), np.sin(0.2)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]) @ np.diag([-1.0, 1.0, 2.0])
    affine[:3, 3] = 20, -10, 5
    for number in range(8):
        label = np.zeros((24, 26, 14), np.uint8)
        start = [int(rng.integers(1, size - 10)) for size in (24, 26, 15)]
        label[start[0] : start[0] + 9, start[1] : start[1] + 8, start[2] : start[2] + 5] = 1
        image = (100 + 90 * label + rng.normal(0, 5, label.shape)).astype(np.float32)
        for kind, array in (("images", image), ("labels", label)):
            nib.Nifti1Image(array, affine).to_filename(folder / kind / f"case_{number}.nii.gz")
    return folder


@pytest.fixture
def plan_for(bright_squares) -> Callable[..., Plan]:
    """Plans the training of a detector of the bright squares, or of what another folder holds."""

    def make(source: Path = bright_squares, **chosen) -> Plan:
        data = split(read_data_list(source, "boxes"))
        return plan(data, check(data), "detect", TrainingParameters.of({"width": 16, **chosen}), name="a_model")

    return make


@pytest.fixture
def train(tmp_path) -> Callable[..., medai.Result]:
    """Trains a detector in this process; a thin network, and few epochs, unless told otherwise."""

    def run(data, name: str = "model", on_progress=None, **parameters) -> medai.Result:
        chosen = {**SMALL, **parameters}
        return medai.train(
            data,
            "detect",
            tmp_path / name,
            parameters={key: value for key, value in chosen.items() if value is not None},
            in_process=True,
            device="cpu",
            on_progress=on_progress,
        )

    return run


@pytest.fixture(scope="session")
def a_square_finder(bright_squares, tmp_path_factory) -> tuple[Path, medai.Result]:
    """The bundle of a detector that has learned the squares, and the result of its training."""
    root = tmp_path_factory.mktemp("trained") / "square_finder"
    chosen = {**SMALL, "epochs": 40, "validate_every": 10, "augmentation": ["flip"], "ema": 0.1}
    result = medai.train(
        bright_squares, "detect", root, parameters=chosen, in_process=True, device="cpu", data_licence="Made for tests."
    )
    return root, result
