"""Images on disk, made for each test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from medai.result import Code, Labelmap, Provenance, Result, Segment, Table

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the shared data are not here")
    return SHARED


@pytest.fixture
def some_voxels() -> np.ndarray:
    """Shape (K, J, I) = (5, 6, 7), every value another one."""
    return np.arange(210, dtype=np.int16).reshape(5, 6, 7) - 100


@pytest.fixture
def an_oblique_affine() -> np.ndarray:
    """Rotated, anisotropic, left-handed; exact in single precision as NIfTI's sform stores it."""
    angle = np.deg2rad(20)
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, -1]])
    affine = np.eye(4)
    affine[:3, :3] = rotation * [0.7, 0.8, 2.5]
    affine[:3, 3] = [-12.5, 33.25, 7.125]
    return affine.astype(np.float32).astype(np.float64)


@pytest.fixture
def a_nifti_file(tmp_path, some_voxels, an_oblique_affine) -> Path:
    path = tmp_path / "brain.nii.gz"
    nib.Nifti1Image(some_voxels.T, an_oblique_affine).to_filename(path)
    return path


@pytest.fixture
def a_file_by_itk(tmp_path, some_voxels) -> Callable[[str], tuple[Path, sitk.Image]]:
    def make(name: str, *, compressed: bool = False) -> tuple[Path, sitk.Image]:
        image = sitk.GetImageFromArray(some_voxels)
        image.SetSpacing((0.5, 0.75, 3))
        image.SetOrigin((10, -20, 30))
        image.SetDirection((0, 1, 0, 0, 0, -1, -1, 0, 0))
        sitk.WriteImage(image, str(tmp_path / name), compressed)
        return tmp_path / name, image

    return make


@pytest.fixture
def a_labelmap(an_oblique_affine) -> Labelmap:
    array = np.zeros((5, 6, 7), np.uint8)
    array[1:3, 2:4, 1:5] = 1
    array[3, 4, 5] = 2
    tissue = Code("SCT", "123037004", "Anatomical Structure")
    return Labelmap(
        array,
        an_oblique_affine,
        (
            Segment("Anterior hippocampus", 1, (0.9, 0.2, 0.1), 0, tissue, Code("SCT", "72713000", "Hippocampus")),
            Segment("Größe : übrig | Rest", 2, (0, 0.25, 1)),
            Segment("Absent", 3),
        ),
        "hippocampus",
    )


@pytest.fixture
def a_labelmap_with_overlap(an_oblique_affine) -> Labelmap:
    array = np.zeros((2, 5, 6, 7), np.uint8)
    array[0, 1:4, 1:4, 1:4] = 1
    array[1, 2:5, 2:5, 2:5] = 1
    return Labelmap(array, an_oblique_affine, (Segment("Organ", 1, layer=0), Segment("Lesion", 1, layer=1)), "both")


@pytest.fixture
def a_provenance() -> Provenance:
    return Provenance(
        "segment", "hippocampus_mr_unet", "1.2.0", "ab" * 32, {"overlap": "0.5"}, "cpu", citation="A. Author\nA journal"
    )


@pytest.fixture
def a_result(a_labelmap, a_provenance) -> Result:
    volumes = a_labelmap.volumes_ml()
    table = Table({"Segment": tuple(volumes), "Volume (mL)": tuple(volumes.values())}, "volumes")
    return Result((a_labelmap, table), a_provenance)
