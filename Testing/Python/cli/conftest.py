"""A tiny model, images on disk, and the command line around them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from small_bundles import PAIR, TINY, write_bundle

SOURCE = Path(__file__).resolve().parents[3] / "SlicerMedAI"


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory) -> Path:
    """Holds U-Nets with eight channels and seeded weights: "tiny" for one image, "pair" for two of one patient."""
    folder = tmp_path_factory.mktemp("models")
    write_bundle(folder / "tiny", TINY)
    write_bundle(folder / "pair", PAIR)
    return folder


@pytest.fixture
def surroundings(models_folder, tmp_path, monkeypatch) -> dict[str, str]:
    """Environment in which only the tiny model exists, and nothing of the user's is touched."""
    own = {
        "MEDAI_MODELS": str(models_folder),
        "MEDAI_HOME": str(tmp_path / "home"),
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
