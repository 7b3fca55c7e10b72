"""`python -m monai.bundle run` repeats the training of the shipped model, and goes on after it was killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest

BUNDLE = Path(__file__).resolve().parents[3] / "models" / "hippocampus_mr_unet"


@pytest.fixture
def crops_of_ellipsoids(tmp_path) -> Path:
    """Five tiny cases laid out like the real ones: bright front half, dark back half."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "crops"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in (34, 50, 34)), indexing="ij"), axis=-1)
    for case in range(5):
        center = np.array([17, 25, 17]) + rng.integers(-2, 3, 3)
        inside = (((grid - center) / (8, 18, 8)) ** 2).sum(axis=-1) < 1
        label = np.where(inside, np.where(grid[..., 1] > center[1], 1, 2), 0).astype(np.uint8)
        image = (100 + 60.0 * (label == 1) - 60.0 * (label == 2) + rng.normal(0, 5, label.shape)).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(image, np.eye(4)), folder / "images" / f"case_{case}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(label, np.eye(4)), folder / "labels" / f"case_{case}.nii.gz")
    return folder


@pytest.fixture
def start_training(crops_of_ellipsoids, tmp_path):
    """Starts the bundle's own training, a few epochs of a thin network, in a process."""

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "monai.bundle", "run"]
        command += ["--config_file", str(BUNDLE / "configs" / "train.json"), "--bundle_root", str(tmp_path)]
        command += [
            "--dataset_dir",
            str(crops_of_ellipsoids),
            "--epochs",
            "12",
            "--num_workers",
            "0",
            "--val_interval",
            "1",
        ]
        command += ["--patch_size", "[16,24,16]", "--network_def#filters", "[4,4,4,4]"]
        environment = {**os.environ, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, env=environment, cwd=tmp_path, **pipes)

    return start


@pytest.mark.timeout(280)
def test_a_killed_training_goes_on_from_its_last_checkpoint(start_training, tmp_path):
    import torch

    output = tmp_path / "runs" / "fold_0"
    first = start_training()
    while first.poll() is None and not list(output.glob("state_checkpoint_*.pt")):
        time.sleep(0.05)
    first.kill()
    said = first.communicate()[0]
    assert list(output.glob("state_checkpoint_*.pt")), said
    assert not (output / "model.pt").exists(), "it was to be killed before its end"

    second = start_training()
    said = second.communicate()[0]
    assert second.returncode == 0, said
    assert "Epoch[12] Metrics" in said
    assert "Epoch[1] Metrics" not in said
    state = torch.load(output / "model.pt", weights_only=True)
    expected = json.loads((BUNDLE / "configs" / "train.json").read_text())["network_def"]["out_channels"]
    assert state["output_block.conv.conv.bias"].shape == (expected,)
