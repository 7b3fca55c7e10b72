"""Tiny bundles on disk, built here, and a user's folders that are thrown away."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

METADATA: dict[str, Any] = {
    "version": "0.2.0",
    "changelog": {"0.2.0": "first"},
    "monai_version": "1.5.0",
    "pytorch_version": "2.4.0",
    "numpy_version": "1.26.0",
    "required_packages_version": {},
    "name": "Tiny kidney model",
    "task": "Kidney segmentation",
    "description": "Finds a kidney in small test images.",
    "intended_use": "Tests only.",
    "authors": "A. Tester",
    "copyright": "Copyright (c) A. Tester",
    "references": ["A. Tester. How to test. 2024."],
    "network_data_format": {
        "inputs": {
            "image": {
                "type": "image",
                "format": "magnitude",
                "modality": "MR",
                "num_channels": 1,
                "spatial_shape": ["8*n", "8*n", "8*n"],
                "dtype": "float32",
                "value_range": [0, 1],
                "is_patch_data": True,
                "channel_def": {"0": "image"},
            }
        },
        "outputs": {
            "pred": {
                "type": "image",
                "format": "segmentation",
                "num_channels": 3,
                "spatial_shape": ["8*n", "8*n", "8*n"],
                "dtype": "float32",
                "value_range": [],
                "is_patch_data": True,
                "channel_def": {"0": "background", "1": "kidney", "2": "tumor_core"},
            }
        },
    },
}

NETWORK: dict[str, Any] = {
    "_target_": "UNet",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 3,
    "channels": [4, 8],
    "strides": [2],
}

INFERENCE: dict[str, Any] = {
    "imports": ["$import glob", "$import os"],
    "bundle_root": ".",
    "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
    "dataset_dir": "data",
    "datalist": "$list(sorted(glob.glob(os.path.join(@dataset_dir, '*.nii.gz'))))",
    "network_def": NETWORK,
    "network": "$@network_def.to(@device)",
    "preprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "LoadImaged", "keys": "image"},
            {"_target_": "EnsureChannelFirstd", "keys": "image"},
            {"_target_": "ScaleIntensityd", "keys": "image"},
        ],
    },
    "dataset": {"_target_": "Dataset", "data": "$[{'image': i} for i in @datalist]", "transform": "@preprocessing"},
    "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1},
    "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 16], "overlap": 0.25},
    "postprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "Activationsd", "keys": "pred", "softmax": True},
            {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
            {"_target_": "SaveImaged", "keys": "pred", "output_dir": "$@bundle_root + '/eval'"},
        ],
    },
    "handlers": [
        {
            "_target_": "CheckpointLoader",
            "load_path": "$@bundle_root + '/models/model.pt'",
            "load_dict": {"model": "@network"},
        }
    ],
    "evaluator": {
        "_target_": "SupervisedEvaluator",
        "device": "@device",
        "val_data_loader": "@dataloader",
        "network": "@network",
        "inferer": "@inferer",
        "postprocessing": "@postprocessing",
        "val_handlers": "@handlers",
    },
    "initialize": ["$monai.utils.set_determinism(seed=123)", "$setattr(torch.backends.cudnn, 'benchmark', True)"],
    "run": ["$@evaluator.run()"],
}


@pytest.fixture(autouse=True)
def a_user_without_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setenv("MEDAI_HOME", str(home))
    monkeypatch.setenv("MEDAI_TRUST", str(home / "trusted.json"))
    monkeypatch.delenv("MEDAI_MODELS", raising=False)
    return home


@pytest.fixture
def some_metadata() -> dict[str, Any]:
    return copy.deepcopy(METADATA)


@pytest.fixture
def an_inference_config() -> dict[str, Any]:
    return copy.deepcopy(INFERENCE)


@pytest.fixture(scope="session")
def some_weights() -> dict[str, Any]:
    from monai.networks.nets import UNet

    network = UNet(**{key: value for key, value in NETWORK.items() if key != "_target_"})
    return dict(network.state_dict())


@pytest.fixture
def make_bundle(tmp_path: Path, some_weights: dict[str, Any]) -> Callable[..., Path]:
    """Writes a bundle; ``config`` is laid over the inference config, ``metadata`` over the metadata."""
    import torch

    def make(
        name: str = "tiny_kidney",
        *,
        config: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        folder: Path | None = None,
        weights: bool = True,
    ) -> Path:
        root = (folder or tmp_path / "made") / name
        (root / "configs").mkdir(parents=True)
        (root / "models").mkdir()
        (root / "docs").mkdir()
        (root / "configs" / "metadata.json").write_text(json.dumps({**copy.deepcopy(METADATA), **(metadata or {})}))
        (root / "configs" / "inference.json").write_text(json.dumps({**copy.deepcopy(INFERENCE), **(config or {})}))
        (root / "LICENSE").write_text("Apache License\nVersion 2.0, January 2004\n")
        (root / "docs" / "README.md").write_text("A tiny model.\n")
        if weights:
            torch.save(some_weights, root / "models" / "model.pt")
        return root

    return make


@pytest.fixture
def a_bundle(make_bundle: Callable[..., Path]) -> Path:
    return make_bundle()


class RunsCommand:
    """Pickled, it asks whoever unpickles it to create a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.fixture
def a_marker(tmp_path: Path) -> Path:
    """Exists after an attack has succeeded."""
    return tmp_path / "attack_succeeded"


@pytest.fixture
def an_evil_object(a_marker: Path) -> RunsCommand:
    return RunsCommand(a_marker)
