"""``medai classify`` and ``medai explain``."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from small_classifiers import POINT, Classifier


@pytest.fixture(scope="session")
def finders(tmp_path_factory) -> dict[str, Path]:
    """Find what is bright, in volumes and in slices."""
    folder = tmp_path_factory.mktemp("finders")
    return {
        "solid": Classifier(points=[POINT], classes=("benign", "malignant")).write(folder / "unnamed"),
        "lesion": Classifier(points=[POINT]).write(folder / "lesion"),
        "flat": Classifier(dimensions=2).write(folder / "flat"),
    }


@pytest.fixture
def a_scan(tmp_path):
    def make(name: str = "scan.nii.gz", *, lesion: bool = True) -> Path:
        array = np.random.default_rng(0).integers(0, 40, (14, 12, 8)).astype(np.int16)
        array[0, 0, :] = 220
        if lesion:
            array[5:10, 4:9, 3:6] = 220
        nib.Nifti1Image(array, np.diag([1.0, 1.2, 2.0, 1.0])).to_filename(tmp_path / name)
        return tmp_path / name

    return make


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))


def test_a_volume_is_classified_into_a_table(medai, finders, a_scan, tmp_path):
    done = medai("classify", a_scan(), "-m", finders["lesion"], "-o", tmp_path / "out.csv", "--device", "cpu")
    assert done.exit_code == 0, done.output
    rows = rows_of(tmp_path / "out.csv")
    assert [row["Class"] for row in rows] == ["normal", "lesion"]
    said = f"lesion {float(rows[1]['Probability']):.2f}  (above 0.4: positive)"
    assert said in done.stdout
    assert "Note: Positive is lesion from 0.4 on (Youden's J; sensitivity 0.90" in done.stdout


def test_programs_read_the_same(medai, finders, a_scan, tmp_path):
    done = medai("classify", a_scan(), "-m", finders["lesion"], "-o", tmp_path / "out.json", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout.strip().splitlines()[-1])
    assert told["probabilities"][1]["Decision"] == "positive"
    written = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert written["rows"] == told["probabilities"]


def test_many_volumes_go_into_a_folder_and_a_bad_one_stops_no_other(medai, finders, a_scan, tmp_path):
    bad = tmp_path / "bad.nii.gz"
    bad.write_bytes(b"no image")
    done = medai(
        "classify",
        a_scan("a.nii.gz"),
        bad,
        a_scan("b.nii.gz", lesion=False),
        "-m",
        finders["lesion"],
        "-o",
        tmp_path / "out",
    )
    assert done.exit_code == 3
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"a.csv", "b.csv"}
    assert rows_of(tmp_path / "out" / "a.csv")[1]["Decision"] == "positive"
    assert rows_of(tmp_path / "out" / "b.csv")[1]["Decision"] == "negative"


def test_every_slice_of_a_stack_has_a_line(medai, finders, a_scan, tmp_path):
    done = medai("classify", a_scan(), "-m", finders["flat"], "-o", tmp_path / "out.csv")
    assert done.exit_code == 0, done.output
    rows = rows_of(tmp_path / "out.csv")
    assert [row["Slice"] for row in rows] == [*map(str, range(8)), "mean of all", "highest of all"]
    assert (
        f"slice 4: normal {float(rows[4]['normal']):.2f}, lesion {float(rows[4]['lesion']):.2f}  (lesion)"
        in done.stdout
    )
    assert "\n  mean of all slices: normal" in done.stdout
    one = medai("classify", a_scan(), "-m", finders["flat"], "-o", tmp_path / "one.csv", "--slice", 4)
    assert one.exit_code == 0, one.output
    assert rows_of(tmp_path / "one.csv")[1]["Probability"] == rows[4]["lesion"]


def test_regions_are_named(medai, finders, a_scan, tmp_path):
    boxes = ["--region", "Left=7,7,8,6,6,8", "--region", "Right=2,2,2,4,4,6"]
    done = medai("classify", a_scan(), "-m", finders["lesion"], "-o", tmp_path / "out.csv", *boxes)
    assert done.exit_code == 0, done.output
    assert [row["Region"] for row in rows_of(tmp_path / "out.csv")] == ["Left", "Right"]
    assert "region Left: normal" in done.stdout


def test_the_map_comes_beside_the_table(medai, finders, a_scan, tmp_path):
    done = medai("classify", a_scan(), "-m", finders["lesion"], "-o", tmp_path / "out.csv", "--explain", "grad_cam")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out_Grad-CAM.nrrd").is_file()


def test_a_map_lies_on_the_inputs_grid(medai, finders, a_scan, tmp_path):
    scan = a_scan()
    done = medai("explain", scan, "-m", finders["lesion"], "-o", tmp_path / "map.nii.gz", "--method", "occlusion")
    assert done.exit_code == 0, done.output
    found, image = nib.load(tmp_path / "map.nii.gz"), nib.load(scan)
    assert found.shape == image.shape
    assert np.allclose(found.affine, image.affine)
    values = found.get_fdata()
    assert values.max() == 1
    assert values[7, 6, 4] > 0.5
    assert "lesion 0." in done.stdout or "lesion 1." in done.stdout


@pytest.mark.parametrize(
    "case",
    [
        ("classify", ["-o", "out.nii.gz"], 2, "must end in .csv or .json"),
        ("explain", ["-o", "out.csv"], 2, "must end in"),
        ("classify", ["-o", "out.csv", "--explain", "magic"], 3, "'explain'"),
        ("explain", ["-o", "out.nrrd", "--class", "cat"], 3, "no class called 'cat'"),
        ("explain", ["-o", "out.nrrd", "--method", "magic"], 3, "'method'"),
        ("classify", ["-o", "out.csv", "--tta"], 3, "mirrored images"),
    ],
)
def test_a_wrong_choice_is_told(medai, finders, a_scan, monkeypatch, case):
    command, wrong, code, message = case
    scan = a_scan()
    monkeypatch.chdir(scan.parent)
    done = medai(command, scan, "-m", finders["lesion"], *wrong)
    assert done.exit_code == code
    assert message in done.stderr


def test_a_model_for_classification_does_not_segment(medai, finders, a_scan, tmp_path):
    done = medai("segment", a_scan(), "-m", finders["flat"], "-o", tmp_path / "out.nrrd")
    assert done.exit_code == 4
    assert "not for segmentation" in done.stderr
    assert "It is for classification." in done.stderr


def test_a_model_for_segmentation_is_told(medai, a_scan, tmp_path):
    done = medai("classify", a_scan(), "-m", "tiny", "-o", tmp_path / "out.csv")
    assert done.exit_code == 4
    assert "not for classification" in done.stderr


def test_an_image_that_a_model_fails_on_does_not_keep_others_from_it(medai, tmp_path, a_scan):
    # A crop to what is brighter than 10 leaves nothing of the first.
    finder = Classifier(pre=[{"_target_": "Lambdad", "keys": "image", "func": "$lambda x: 1 / int(x.max() > 100) * x"}])
    model = finder.write(tmp_path / "picky")
    dark, bright = a_scan("a_dark.nii.gz", lesion=False), a_scan("b_bright.nii.gz")
    nib.Nifti1Image(np.arange(1000).reshape(10, 10, 10).astype(np.int16) % 50, np.eye(4)).to_filename(dark)
    done = medai("classify", dark, bright, "-m", model, "-o", tmp_path / "out/", "--device", "cpu")
    assert "could not prepare the image" in done.stderr
    assert (tmp_path / "out" / "b_bright.csv").is_file()
