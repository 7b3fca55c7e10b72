"""``medai denoise`` and ``medai encode`` from typed words to files, through the real worker."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from medai.files import read
from medai.volume import SYNTHETIC
from small_bundles import write_bundle
from small_restorers import autoencoder, denoiser, translator


@pytest.fixture(autouse=True)
def _with_these_models(models_folder, surroundings):
    for name, recipe in {"halver": denoiser(), "coder": autoencoder(), "negative": translator()}.items():
        if not (models_folder / name).exists():
            write_bundle(models_folder / name, recipe)


def test_an_image_is_denoised_into_a_file(medai, an_image, tmp_path):
    path = an_image()
    done = medai("denoise", path, "-m", "halver", "-o", tmp_path / "clean.nii.gz", "--strength", "0.5", "--noise")
    assert done.exit_code == 0, done.output
    before, after = read(path), read(tmp_path / "clean.nii.gz")
    noise = read(tmp_path / "clean_noise.nii.gz")
    assert after.array.dtype == before.array.dtype
    assert after.same_grid(before)
    np.testing.assert_allclose(after.array + noise.array, before.array, atol=1e-3 * np.abs(before.array).max())
    assert "removed noise of SD" in done.stdout
    assert "Denoising" in done.stderr


def test_several_images_are_denoised_and_one_bad_one_does_not_stop_them(medai, an_image, tmp_path):
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(b"nothing")
    good = [an_image("a.nii.gz"), an_image("b.nii")]
    done = medai("denoise", good[0], broken, good[1], "-m", "halver", "-o", tmp_path / "out", "--format", "nrrd")
    assert done.exit_code != 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.nrrd", "b.nrrd"}


def test_json_of_a_denoising_tells_how_much_was_removed(medai, an_image, tmp_path):
    done = medai("denoise", an_image(), "-m", "halver", "-o", tmp_path / "c.nrrd", "--json", "--quiet")
    (line,) = done.stdout.splitlines()
    record = json.loads(line)
    assert record["status"] == "ok"
    removed = read(record["input"][0]).array.astype(float) - read(tmp_path / "c.nrrd").array
    assert record["noise"][0]["sd"] == pytest.approx(removed.std(), rel=1e-3)


def test_a_denoised_image_is_no_segmentation(medai, an_image, tmp_path):
    done = medai("denoise", an_image(), "-m", "halver", "-o", tmp_path / "clean.seg.nrrd")
    assert done.exit_code == 2


def test_a_strength_beyond_all_is_wrong_usage(medai, an_image, tmp_path):
    assert medai("denoise", an_image(), "-m", "halver", "-o", tmp_path / "c.nrrd", "--strength", "3").exit_code == 2


def test_a_model_for_something_else_is_told(medai, an_image, tmp_path):
    done = medai("denoise", an_image(), "-m", "tiny", "-o", tmp_path / "c.nrrd")
    assert done.exit_code == 4
    assert "not for noise removal" in done.stderr


def test_a_cohort_is_encoded_into_one_table(medai, an_image, tmp_path):
    done = medai("encode", an_image("a.nii.gz"), an_image("b.nii"), "-m", "coder", "-o", tmp_path / "codes.csv")
    assert done.exit_code == 0, done.output
    with (tmp_path / "codes.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["Image"] for row in rows] == ["a", "b"]
    assert len(rows[0]) == 4 + 12
    assert rows[0]["mean 0"] == rows[1]["mean 0"]  # the same image
    assert "PSNR" in done.stdout


def test_a_folder_takes_codes_and_the_volumes_that_were_asked_for(medai, an_image, tmp_path):
    target = tmp_path / "codes"
    done = medai("encode", an_image("a.nii.gz"), "-m", "coder", "-o", target, "--reconstruct", "--anomaly", "--quiet")
    assert done.exit_code == 0, done.output
    names = {path.name for path in target.iterdir() if path.suffix != ".json"}
    assert names == {"codes.csv", "codes.npz", "a_reconstruction.nii.gz", "a_anomaly.nii.gz"}
    image, made = read(tmp_path / "a.nii.gz"), read(target / "a_reconstruction.nii.gz")
    assert made.same_grid(image)
    assert made.array.dtype == image.array.dtype
    with np.load(target / "codes.npz", allow_pickle=False) as saved:
        assert saved["codes"].shape == (1, 12)


def test_a_folder_that_a_file_is_in_the_way_of_is_told_before_the_job_begins(medai, an_image, tmp_path):
    (tmp_path / "file").write_text("here already")
    done = medai("encode", an_image("a.nii.gz"), "-m", "coder", "-o", tmp_path / "file" / "codes.csv")
    assert done.exit_code == 5
    assert "cannot be made" in done.stderr


def test_one_bad_image_leaves_the_codes_of_the_others(medai, an_image, tmp_path):
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(b"nothing")
    done = medai("encode", broken, an_image("a.nii.gz"), "-m", "coder", "-o", tmp_path / "codes.npy", "--json", "-q")
    first, second, last = map(json.loads, done.stdout.splitlines())
    assert [first["status"], second["status"]] == ["failed", "ok"]
    assert np.shape(second["features"]) == (1, 12)
    assert last == {"output": [str(tmp_path / "codes.npy")], "images": 1}
    assert np.load(tmp_path / "codes.npy").shape == (1, 12)
    assert done.exit_code == 3


def test_codes_are_no_image(medai, an_image, tmp_path):
    assert medai("encode", an_image(), "-m", "coder", "-o", tmp_path / "codes.nii.gz").exit_code == 2


def test_the_list_of_models_tells_what_each_is_for(medai):
    records = {record["name"]: record for record in json.loads(medai("models", "list", "--json").stdout)}
    assert records["halver"]["tasks"] == ["denoise"]
    assert records["coder"]["tasks"] == ["encode"]


def test_an_image_of_another_contrast_is_written_and_marked(medai, an_image, tmp_path):
    path = an_image()
    done = medai("translate", path, "-m", "negative", "-o", tmp_path / "other.nrrd")
    assert done.exit_code == 0, done.output
    made = read(tmp_path / "other.nrrd")
    assert made.same_grid(read(path))
    assert SYNTHETIC in made.notes
    assert "synthetic: made by a network" in done.stdout
