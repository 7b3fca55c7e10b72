"""Small data sets of every kind, made for each test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from medai.training.data import DataItem, DataList

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the shared data are not here")
    return SHARED


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def save_picture(tmp_path) -> Callable[..., Path]:
    def save(name: str, array: np.ndarray) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(sitk.GetImageFromArray(array, isVector=array.ndim == 3), str(path))
        return path

    return save


@pytest.fixture
def save_nifti(tmp_path) -> Callable[..., Path]:
    """`array` is (I, J, K), as nibabel has it."""

    def save(name: str, array: np.ndarray, affine: np.ndarray | None = None) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.Nifti1Image(array, np.eye(4) if affine is None else affine).to_filename(path)
        return path

    return save


@pytest.fixture
def pictures_with_masks(tmp_path, save_picture, rng) -> Path:
    """Three benign, two malignant, two normal; every mask one square but for the normal ones."""
    for kind, count in (("benign", 3), ("malignant", 2), ("normal", 2)):
        for n in range(count):
            mask = np.zeros((12, 16), np.uint8)
            if kind != "normal":
                mask[2:6, 3 + n : 9] = 255
            save_picture(f"us/images/{kind}_{n:03d}.png", rng.integers(0, 255, (12, 16), np.uint8))
            save_picture(f"us/masks/{kind}_{n:03d}.png", mask)
    return tmp_path / "us"


@pytest.fixture
def volumes_with_labels(tmp_path, save_nifti, rng) -> Path:
    """Four cases of label values 0, 1, 2, beside a ``dataset.json`` of the Decathlon."""
    affine = np.diag([1.0, 1.5, 2.0, 1.0])
    for n in range(4):
        label = np.zeros((6, 5, 4), np.uint8)
        label[1:3, 1:3, 1:3], label[4, 4, 3] = 1, 2
        save_nifti(f"task/imagesTr/case_{n}.nii.gz", rng.normal(size=(6, 5, 4)).astype(np.float32), affine)
        save_nifti(f"task/labelsTr/case_{n}.nii.gz", label, affine)
    save_nifti("task/imagesTs/case_9.nii.gz", rng.normal(size=(6, 5, 4)).astype(np.float32), affine)
    content = {
        "name": "Hippocampus",
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "Anterior", "2": "Posterior"},
        "numTraining": 4,
        "numTest": 1,
        "training": [
            {"image": f"./imagesTr/case_{n}.nii.gz", "label": f"./labelsTr/case_{n}.nii.gz"} for n in range(4)
        ],
        "test": ["./imagesTs/case_9.nii.gz"],
    }
    (tmp_path / "task" / "dataset.json").write_text(json.dumps(content), encoding="utf-8")
    return tmp_path / "task"


@pytest.fixture
def a_stack(tmp_path, rng) -> Path:
    """A MedMNIST file, 2D and grey: 8 to train on, 4 to validate with, the last of these a copy of the first."""
    images = rng.integers(0, 255, (12, 5, 7), np.uint8)
    images[11] = images[0]
    path = tmp_path / "toymnist.npz"
    labels = (np.arange(12) % 2).astype(np.uint8)[:, np.newaxis]
    labels[11] = labels[0]
    np.savez_compressed(
        path, train_images=images[:8], train_labels=labels[:8], val_images=images[8:], val_labels=labels[8:]
    )
    return path


@pytest.fixture
def make_list() -> Callable[..., DataList]:
    """A list without images: (label, patient) or (label, patient, split) of each case."""

    def make(cases, **options) -> DataList:
        items = [
            DataItem(f"case {n}", values={"label": label}, patient=patient, split=rest[0] if rest else "")
            for n, (label, patient, *rest) in enumerate(cases)
        ]
        return DataList(tuple(items), options.pop("task", "classify"), **options)

    return make
