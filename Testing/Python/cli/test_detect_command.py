"""``medai detect``."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from small_detectors import CELL, Spots


@pytest.fixture(scope="module")
def a_detector(tmp_path_factory) -> Path:
    """A finder of bright cells."""
    return Spots(operating_point={"spot": 0.6}).write(tmp_path_factory.mktemp("spots") / "spots")


@pytest.fixture
def a_scan(tmp_path):
    def make(name: str = "scan.nii.gz", *values: float) -> Path:
        array = np.zeros((24, 20, 16), np.float32)
        array[0, 0, 0] = 1
        for number, value in enumerate(values or (100.0, 70.0)):
            array[8 * number : 8 * number + CELL, 12:16, 4:8] = value
        nib.Nifti1Image(array, np.diag([1.0, 1.2, 2.0, 1.0])).to_filename(tmp_path / name)
        return tmp_path / name

    return make


def test_findings_are_written_as_markups_that_slicer_opens(medai, a_detector, a_scan, tmp_path):
    done = medai("detect", a_scan(), "-m", a_detector, "-o", tmp_path / "out.mrk.json", "--device", "cpu")
    assert done.exit_code == 0, done.output
    content = json.loads((tmp_path / "out.mrk.json").read_text(encoding="utf-8"))
    assert [markup["type"] for markup in content["markups"]] == ["ROI", "ROI"]
    assert content["markups"][0]["size"] == pytest.approx([CELL, 1.2 * CELL, 2 * CELL])
    assert "spot  0.98  at" in done.stdout
    assert "Note: Shown is spot from 0.6 on" in done.stdout


def test_findings_are_written_as_a_table(medai, a_detector, a_scan, tmp_path):
    done = medai("detect", a_scan(), "-m", a_detector, "-o", tmp_path / "out.csv", "--threshold", 0.9)
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert [row["Class"] for row in rows] == ["spot"]
    assert float(rows[0]["Size 3 (mm)"]) == pytest.approx(2 * CELL)


def test_programs_read_the_same(medai, a_detector, a_scan, tmp_path):
    done = medai("detect", a_scan(), "-m", a_detector, "-o", tmp_path / "out.json", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout.strip().splitlines()[-1])
    written = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert told["findings"] == written["rows"]
    assert len(told["findings"]) == 2


def test_several_images_go_into_a_folder_and_one_without_findings_too(medai, a_detector, a_scan, tmp_path):
    images = a_scan("a.nii.gz"), a_scan("b.nii.gz", 5.0)
    done = medai("detect", *images, "-m", a_detector, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.mrk.json", "b.mrk.json"}
    assert "nothing found" in done.stdout
    assert json.loads((tmp_path / "out" / "b.mrk.json").read_text(encoding="utf-8"))["markups"] == []


def test_a_file_that_can_hold_no_boxes_is_refused_before_anything_runs(medai, a_detector, a_scan, tmp_path):
    done = medai("detect", a_scan(), "-m", a_detector, "-o", tmp_path / "out.nii.gz")
    assert done.exit_code == 2
    assert ".mrk.json" in done.output


def test_a_class_that_the_model_does_not_know_is_an_input_error(medai, a_detector, a_scan, tmp_path):
    done = medai("detect", a_scan(), "-m", a_detector, "-o", tmp_path / "out.csv", "--class", "nodule")
    assert done.exit_code == 3
    assert "does not look for 'nodule'" in done.output
