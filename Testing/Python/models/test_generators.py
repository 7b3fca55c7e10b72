"""The shipped generators: what they make is what they say, the same here and with MONAI, and marked."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import medai
from medai.bundles.pipeline import Pipeline
from medai.tasks.synthesize.sampling import samples
from medai.volume import SYNTHETIC

MODELS = Path(__file__).resolve().parents[3] / "models"


@pytest.fixture(scope="module")
def some_crops():
    return list(samples(Pipeline(MODELS / "hippocampus_mr_gan", "cpu"), 6, seed=1))


def test_crops_have_hippocampi_of_a_plausible_size(some_crops):
    for sample in some_crops:
        assert sample.image.shape == (32, 48, 32)
        assert sample.image.spacing == (1, 1, 1)
        assert sample.image.notes == (SYNTHETIC,)
        volumes = sample.labelmap.volumes_ml()
        assert set(volumes) == {"anterior", "posterior"}
        assert all(0.5 < volume < 4 for volume in volumes.values()), volumes


def test_no_two_crops_are_alike(some_crops):
    apart = [np.abs(a.image.array - b.image.array).mean() for a in some_crops for b in some_crops if a is not b]
    assert min(apart) > 0.02 * np.ptp(some_crops[0].image.array)


def test_the_anterior_part_is_in_front_of_the_posterior(some_crops):
    for sample in some_crops:
        front, back = (np.argwhere(sample.labelmap.array == value)[:, 1].mean() for value in (1, 2))
        assert front > back + 5


def test_monai_makes_crops_too(tmp_path):
    from monai.bundle import run

    root = MODELS / "hippocampus_mr_gan"
    run(
        config_file=str(root / "configs" / "inference.json"),
        bundle_root=str(root),
        output_dir=str(tmp_path),
        count=1,
    )
    image, label = (nib.load(path) for path in sorted(tmp_path.iterdir()))
    assert image.shape == label.shape == (32, 48, 32)
    np.testing.assert_array_equal(image.affine, label.affine)
    assert set(np.unique(label.dataobj)) == {0, 1, 2}


def test_breast_pictures_are_made_of_what_they_are_asked_for():
    root = MODELS / "breast_us_gan"
    pictures = {}
    for kind in ("benign", "malignant", "normal"):
        made = list(medai.synthesize(root, 4, seed=3, condition=kind, in_process=True, device="cpu"))
        assert all(kind in result.volume.name and "synthetic" in result.volume.name for result in made)
        assert all(result.volume.array.dtype == np.uint8 for result in made)
        pictures[kind] = np.stack([result.volume.array for result in made]).astype(float)
        assert pictures[kind].shape == (4, 1, 64, 64)
    assert np.abs(pictures["benign"] - pictures["normal"]).mean() > 1


def test_breast_pictures_have_pixels_of_a_size_that_is_said_to_be_assumed():
    (result,) = medai.synthesize(MODELS / "breast_us_gan", 1, seed=3, in_process=True, device="cpu")
    assert result.volume.spacing == (1, 1, 1)
    assert np.allclose(result.volume.affine @ [31.5, 31.5, 0, 1], [0, 0, 0, 1])
    assert any("is assumed" in note for note in result.provenance.notes)
