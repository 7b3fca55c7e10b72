"""``medai synthesize``."""

from __future__ import annotations

import json
import sys

import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

import medai
from medai import files
from medai.cli import app
from medai.volume import SYNTHETIC


@pytest.fixture
def run(a_generator):
    def invoke(*args: str, model=a_generator):
        return CliRunner().invoke(app, ["synthesize", str(model), "--device", "cpu", *map(str, args)])

    return invoke


def test_every_image_gets_a_file_and_its_labels_another(run, tmp_path):
    done = run("-n", 2, "--seed", 3, "-o", tmp_path, "--json", "--quiet")
    assert done.exit_code == 0, done.output
    records = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(records) == 2
    names = sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".gz")
    assert names == [f"synthetic_dreamer_seed3_000{n}{kind}.nii.gz" for n in range(2) for kind in ("", "_seg")]
    image = files.read(tmp_path / names[0])
    labels = files.read(tmp_path / names[1])
    assert image.notes == (SYNTHETIC,)
    np.testing.assert_array_equal(labels.array, image.array > 0)


def test_what_is_there_already_can_be_kept(run, tmp_path):
    run("-n", 1, "-o", tmp_path, "--format", "nrrd")
    (kept,) = tmp_path.glob("*0000.nrrd")
    before = kept.stat().st_mtime_ns
    done = run("-n", 2, "-o", tmp_path, "--format", "nrrd", "--no-clobber")
    assert done.exit_code == 0, done.output
    assert kept.stat().st_mtime_ns == before
    assert len(list(tmp_path.glob("*.seg.nrrd"))) == 2


def test_a_walk_has_its_two_ends(run, tmp_path, a_generator):
    assert run("-n", 3, "--walk", 1, 2, "-o", tmp_path, "--format", "mha").exit_code == 0
    last = files.read(tmp_path / "synthetic_dreamer_walk1to2_0002.mha")
    own = next(medai.synthesize(a_generator, seed=2, in_process=True, device="cpu"))
    np.testing.assert_array_equal(last.array, own.volume.array)


def test_dicom_goes_into_a_folder_for_each_image(run, tmp_path):
    assert run("-n", 1, "-o", tmp_path, "--format", "dicom").exit_code == 0
    back = files.read(tmp_path / "synthetic_dreamer_seed0_0000")
    assert back.notes == (SYNTHETIC,)
    labels = pydicom.dcmread(tmp_path / "synthetic_dreamer_seed0_0000_seg.dcm")
    assert labels.SyntheticData == "YES"
    assert labels.ReferencedSeriesSequence[0].SeriesInstanceUID == back.id


def test_labels_that_cannot_be_written_as_dicom_are_told_before_anything_is_made(
    run, tmp_path, monkeypatch, a_generator_of_classes
):
    monkeypatch.setitem(sys.modules, "highdicom", None)
    done = run("-n", 1, "-o", tmp_path / "out", "--format", "dicom")
    assert done.exit_code != 0
    assert 'pip install "medai[dicom]"' in done.output.replace("\n", " ")
    assert not (tmp_path / "out").exists()
    assert run("-o", tmp_path, "--format", "dicom", model=a_generator_of_classes).exit_code == 0  # it makes no labels


def test_what_it_cannot_show_is_told_before_anything_is_made(run, tmp_path, a_generator_of_classes):
    done = run("--condition", "cow", "-o", tmp_path / "out", model=a_generator_of_classes)
    assert done.exit_code == 3
    assert "cat, dog" in done.output
    assert not (tmp_path / "out").exists()
    assert run("-o", tmp_path, model="nowhere_to_be_found").exit_code == 4


def test_images_of_another_kind_or_walk_do_not_replace_those_in_the_folder(run, tmp_path, a_generator_of_classes):
    for asked in (("--condition", "cat"), ("--condition", "dog"), (), ("--walk", 1, 2), ("--walk", 1, 3)):
        assert run("-n", 1, "-o", tmp_path, "--format", "mha", *asked, model=a_generator_of_classes).exit_code == 0
    assert len(list(tmp_path.glob("*_0000.mha"))) == 5
