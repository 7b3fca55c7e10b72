"""A tiny model, images on disk, and the command line around them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner, Result

SOURCE = Path(__file__).resolve().parents[3] / "SlicerMedAI"


def config(channels: int) -> dict[str, object]:
    network = {
        "_target_": "UNet",
        "spatial_dims": 3,
        "in_channels": channels,
        "out_channels": 3,
        "channels": [8, 8],
        "strides": [2],
    }
    return {
        "bundle_root": ".",
        "device": "$torch.device('cpu')",
        "network_def": network,
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image", "ensure_channel_first": True},
                {"_target_": "NormalizeIntensityd", "keys": "image"},
            ],
        },
        "dataset": {"_target_": "Dataset", "data": [], "transform": "@preprocessing"},
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1},
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 16], "overlap": 0.25},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
                {"_target_": "SaveImaged", "keys": "pred", "output_dir": "eval"},
            ],
        },
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
        },
        "run": ["$@evaluator.run()"],
    }


def metadata(channels: int) -> dict[str, object]:
    labels = {"0": "background", "1": "left thing", "2": "right thing"}
    return {
        "version": "0.3.0",
        "monai_version": "1.6.1",
        "pytorch_version": "2.4.0",
        "numpy_version": "1.26.0",
        "task": "segmentation",
        "name": "Tiny",
        "description": "Tells nothing, quickly.",
        "authors": "A. Test",
        "copyright": "nobody",
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "magnitude",
                    "modality": "MR",
                    "num_channels": channels,
                    "spatial_shape": [16, 16, 16],
                    "dtype": "float32",
                    "value_range": [-10, 10],
                    "is_patch_data": True,
                    "channel_def": {str(n): f"image {n}" for n in range(channels)},
                }
            },
            "outputs": {
                "pred": {
                    "type": "image",
                    "format": "segmentation",
                    "num_channels": 3,
                    "spatial_shape": [16, 16, 16],
                    "dtype": "float32",
                    "value_range": [0, 1],
                    "is_patch_data": True,
                    "channel_def": labels,
                }
            },
        },
    }


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory) -> Path:
    """Holds U-Nets with eight channels and seeded weights: "tiny" for one image, "pair" for two of one patient."""
    import torch
    from monai.networks.nets import UNet

    folder = tmp_path_factory.mktemp("models")
    for name, channels in (("tiny", 1), ("pair", 2)):
        root = folder / name
        (root / "configs").mkdir(parents=True)
        (root / "models").mkdir()
        (root / "configs" / "inference.json").write_text(json.dumps(config(channels)))
        (root / "configs" / "metadata.json").write_text(json.dumps(metadata(channels)))
        (root / "LICENSE").write_text("Apache License 2.0")
        torch.manual_seed(3)
        torch.save(UNet(3, channels, 3, (8, 8), (2,)).state_dict(), root / "models" / "model.pt")
    return folder


@pytest.fixture
def surroundings(models_folder, tmp_path, monkeypatch) -> dict[str, str]:
    """Environment in which only the tiny model exists, and nothing of the user's is touched."""
    own = {
        "MEDAI_MODELS": str(models_folder),
        "MEDAI_TRUST": str(tmp_path / "trusted.json"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "NO_COLOR": "1",
        "COLUMNS": "200",
        "OMP_NUM_THREADS": "1",
    }
    for key, value in own.items():
        monkeypatch.setenv(key, value)
    return own


@pytest.fixture
def medai(surroundings) -> Callable[..., Result]:
    """Runs a command in this process."""
    from medai.cli import app

    assert surroundings
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def start_medai(surroundings):
    """Starts a command in a process of its own."""
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "medai.cli", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **surroundings, "PYTHONPATH": str(SOURCE)},
            # A group of its own, as a shell makes for a command in the foreground.
            start_new_session=sys.platform != "win32",
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def an_affine() -> np.ndarray:
    return np.array([[0, -1.5, 0, 4], [-1, 0, 0, 5], [0, 0, 2, 6], [0, 0, 0, 1.0]])


@pytest.fixture
def an_image(tmp_path, an_affine) -> Callable[..., Path]:
    def make(name: str = "brain.nii.gz", size: int = 20) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        array = np.random.default_rng(0).normal(100, 20, (size, size + 2, size + 4)).astype(np.float32)
        nib.Nifti1Image(array, an_affine).to_filename(path)
        return path

    return make
