"""Tiny data with a planted signal, and a training of seconds on them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import medai
from medai.training.data import DataList, check, read_data_list, split
from medai.training.parameters import TrainingParameters
from medai.training.recipe import Plan, plan

SMALL: dict[str, object] = {"epochs": 4, "width": 4, "patch_size": [16, 16, 16], "learning_rate": 0.01, "batch_size": 2}


@pytest.fixture(scope="session")
def bright_balls(tmp_path_factory) -> Path:
    """Six noisy volumes of 20 voxels along an edge, each with a bright ball that is the label."""
    folder = tmp_path_factory.mktemp("balls") / "balls"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(20)] * 3, indexing="ij"), axis=-1)
    for case in range(6):
        center = np.array([10, 10, 10]) + rng.integers(-3, 4, 3)
        label = (((grid - center) / 5) ** 2).sum(axis=-1) < 1
        image = (100 + 90 * label + rng.normal(0, 8, label.shape)).astype(np.float32)
        nib.Nifti1Image(image, np.eye(4)).to_filename(folder / "images" / f"case_{case}.nii.gz")
        nib.Nifti1Image(label.astype(np.uint8), np.eye(4)).to_filename(folder / "labels" / f"case_{case}.nii.gz")
    return folder


@pytest.fixture(scope="session")
def smooth_volumes(tmp_path_factory) -> Path:
    """A list of eight volumes of a few smooth hills, without any noise; two of them to validate with."""
    folder = tmp_path_factory.mktemp("smooth")
    rng = np.random.default_rng(5)
    grid = np.stack(np.meshgrid(*[np.arange(16)] * 3, indexing="ij"), axis=-1)
    entries = []
    for case in range(8):
        hills = [(rng.uniform(2, 14, 3), rng.uniform(3, 6), rng.uniform(100, 300)) for _ in range(4)]
        image = sum(high * np.exp(-(((grid - at) / wide) ** 2).sum(axis=-1)) for at, wide, high in hills)
        nib.Nifti1Image(image.astype(np.float32), np.eye(4)).to_filename(folder / f"hills_{case}.nii.gz")
        entries.append({"image": f"hills_{case}.nii.gz"})
    path = folder / "list.json"
    path.write_text(json.dumps({"training": entries[:6], "validation": entries[6:]}), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def pairs(tmp_path_factory) -> Path:
    """A list of eight volumes of hills with their negatives, which are brighter in the right half; two to judge by."""
    root = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(2)
    grid = np.stack(np.meshgrid(*[np.arange(14)] * 3, indexing="ij"), axis=-1)
    entries = []
    for case in range(8):
        hills = [(rng.uniform(2, 12, 3), rng.uniform(2, 4), rng.uniform(100, 300)) for _ in range(4)]
        image = 50 + sum(high * np.exp(-(((grid - at) / wide) ** 2).sum(axis=-1)) for at, wide, high in hills)
        target = 900 - 2 * image
        for name, array in (("image", image), ("target", target)):
            nib.Nifti1Image(array.astype(np.float32), np.eye(4)).to_filename(root / f"{name}_{case}.nii.gz")
        entries.append({"image": f"image_{case}.nii.gz", "target": f"target_{case}.nii.gz", "patient": f"p{case}"})
    path = root / "pairs.json"
    path.write_text(json.dumps({"training": entries[:6], "validation": entries[6:]}), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def bright_spots(tmp_path_factory) -> Path:
    """A MedMNIST file of pictures of 20 pixels along an edge; class 1 has a bright spot somewhere in the middle."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 90, (64, 20, 20)).astype(np.uint8)
    labels = (np.arange(64) % 2).astype(np.uint8)
    for n in np.flatnonzero(labels):
        i, j = rng.integers(6, 10, 2)
        images[n, i : i + 5, j : j + 5] += 140
    path = tmp_path_factory.mktemp("spots") / "spots.npz"
    train, val = slice(0, 44), slice(44, 64)
    np.savez(
        path,
        train_images=images[train],
        train_labels=labels[train, np.newaxis],
        val_images=images[val],
        val_labels=labels[val, np.newaxis],
    )
    return path


@pytest.fixture
def pictures_with_findings(tmp_path) -> DataList:
    """A bright corner is the first finding, a bright middle the second; every third label is not known."""
    rng = np.random.default_rng(2)
    images = rng.integers(0, 90, (60, 16, 16)).astype(np.uint8)
    labels = rng.integers(0, 2, (60, 2))
    images[labels[:, 0] == 1, :5, :5] += 140
    images[labels[:, 1] == 1, 8:13, 8:13] += 140
    np.savez(
        tmp_path / "findings.npz",
        train_images=images[:40],
        train_labels=labels[:40],
        val_images=images[40:],
        val_labels=labels[40:],
    )
    data = read_data_list(tmp_path / "findings.npz", label_names={0: "corner", 1: "middle"})
    items = [
        item.with_values(label=(item.label[0], None) if n % 3 == 0 and n < 40 else item.label)
        for n, item in enumerate(data)
    ]
    return data.with_items(items)


@pytest.fixture(scope="session")
def a_trained_ball_finder(bright_balls, tmp_path_factory) -> tuple[Path, medai.Result]:
    """The bundle of a segmentation that has learned the balls, and the result of its training."""
    root = tmp_path_factory.mktemp("trained") / "ball_finder"
    chosen = {**SMALL, "epochs": 14, "augmentation": ["flip"], "validate_every": 2}
    result = medai.train(
        bright_balls,
        "segment",
        root,
        parameters=chosen,
        in_process=True,
        modality="MR",
        device="cpu",
        data_licence="Made for tests.",
    )
    return root, result


@pytest.fixture
def train(tmp_path) -> Callable[..., medai.Result]:
    """Trains in this process, a few epochs of a thin network unless told otherwise."""

    def run(data: Path, task: str, name: str = "model", on_progress=None, **choices) -> medai.Result:
        parameters = {**SMALL, **choices.pop("parameters", {})}
        if task == "classify":
            parameters.pop("patch_size")
        return medai.train(
            data,
            task,
            tmp_path / name,
            parameters=parameters,
            in_process=True,
            device="cpu",
            on_progress=on_progress,
            **choices,
        )

    return run


@pytest.fixture
def plan_for(bright_balls, bright_spots) -> Callable[..., Plan]:
    """A plan for the small data of a task."""

    def make(task: str, **chosen) -> Plan:
        data = split(read_data_list(bright_spots if task == "classify" else bright_balls))
        if task == "translate":
            pairs = [{"image": item.files["image"], "target": item.files["image"]} for item in data]
            data = data.with_items([dataclasses.replace(i, files=f) for i, f in zip(data, pairs, strict=True)])
        return plan(data, check(data), task, TrainingParameters.of({"width": 4, **chosen}), name="a_model")

    return make


@pytest.fixture
def configs_in(tmp_path) -> Callable[[Mapping[str, object]], Path]:
    """Writes the configurations of a plan where a bundle has them; returns the bundle's folder."""

    def write(configs: Mapping[str, object]) -> Path:
        (tmp_path / "configs").mkdir()
        for name, content in configs.items():
            (tmp_path / "configs" / name).write_text(json.dumps(content), encoding="utf-8")
        return tmp_path

    return write
