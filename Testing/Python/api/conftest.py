"""Givens for the public API: a model whose right answer is known, images, a worker, a scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medai.jobs import Worker
from medai.volume import Volume
from small_bundles import OBLIQUE, RECIPES, write_bundle


@pytest.fixture(scope="session")
def a_folder_of_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_bundle(folder / "threshold", RECIPES["threshold"])
    return folder


@pytest.fixture
def a_model(a_folder_of_models: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a model that labels voxels above 100 with 1 and above 200 with 2."""
    monkeypatch.setenv("MEDAI_MODELS", str(a_folder_of_models))
    return "threshold"


@pytest.fixture
def a_volume() -> Volume:
    array = np.random.default_rng(3).integers(0, 256, (11, 14, 12)).astype(np.uint8)
    return Volume(array, OBLIQUE, "scan", "MR")


@pytest.fixture
def expected(a_volume: Volume):
    return (a_volume.array > 100).astype(np.uint8) + (a_volume.array > 200)


@pytest.fixture(scope="session")
def a_worker():
    with Worker() as worker:
        yield worker


@pytest.fixture
def a_scene():
    pytest.importorskip("slicer")
    from medai import mrml

    scene = mrml.create_scene()
    yield scene
    scene.Clear(True)


@pytest.fixture
def a_volume_node(a_scene, a_volume: Volume):
    from medai.mrml.volumes import fill_volume_node

    node = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "scan")
    fill_volume_node(node, a_volume.array, a_volume.affine)
    return node
