"""Results go out whole or not at all, and lie where the input lay."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from medai.errors import WriteError
from medai.files import check_target, read, write
from medai.result import Boxes, Labelmap, Result, Segment, Table
from medai.volume import Volume, apply_affine

SOURCE = Path(__file__).resolve().parents[3] / "SlicerMedAI"
IMAGE_ENDINGS = [".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".mha"]


def names_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


@pytest.mark.parametrize("ending", IMAGE_ENDINGS)
def test_labels_come_back_voxel_for_voxel_and_in_place(tmp_path, a_labelmap, ending):
    (written,) = [file for file in write(a_labelmap, tmp_path / f"out{ending}") if not file.name.endswith("json")]
    again = read(written)
    np.testing.assert_array_equal(again.array, a_labelmap.array)
    assert again.array.dtype == np.uint8
    np.testing.assert_allclose(again.affine, a_labelmap.affine, rtol=0, atol=1e-14)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="a folder of Linux in which nobody can write")
def test_a_folder_that_is_there_and_takes_no_files_is_not_said_to_be_missing():
    with pytest.raises(WriteError, match="read-only"):
        check_target("/proc/result.csv")
    with pytest.raises(WriteError, match="There is no folder"):
        check_target("/proc/nowhere/result.csv")


@pytest.mark.parametrize("ending", IMAGE_ENDINGS)
def test_simpleitk_sees_the_same_place(tmp_path, a_labelmap, ending):
    write(a_labelmap, tmp_path / f"out{ending}")
    image = sitk.ReadImage(str(tmp_path / f"out{ending}"))
    lps = np.array(image.TransformIndexToPhysicalPoint((6, 5, 4)))
    ras = apply_affine(a_labelmap.affine, np.array([[6.0, 5, 4]]))[0]
    np.testing.assert_allclose(lps * [-1, -1, 1], ras, atol=1e-4)


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("dtype", ["int16", "uint16", "int32", "float32", "float64", "float16", "int64", "bool"])
def test_a_volume_keeps_its_values(tmp_path, an_oblique_affine, dtype, ending):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    write(Volume(array, an_oblique_affine, "v"), tmp_path / f"v{ending}")
    np.testing.assert_array_equal(read(tmp_path / f"v{ending}").array, array)


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_components_survive(tmp_path, an_oblique_affine, ending):
    array = np.arange(72, dtype=np.float32).reshape(2, 3, 4, 3)
    write(Volume(array, an_oblique_affine, "field"), tmp_path / f"v{ending}")
    np.testing.assert_array_equal(read(tmp_path / f"v{ending}").array, array)


def test_a_view_with_strides_is_written_as_it_reads(tmp_path):
    array = np.arange(48, dtype=np.int16).reshape(4, 3, 4)[::-2, :, 1:]
    for ending in (".nrrd", ".mha", ".nii"):
        write(Volume(array, np.eye(4), "view"), tmp_path / f"v{ending}")
        np.testing.assert_array_equal(read(tmp_path / f"v{ending}").array, array)


def test_overlapping_labels_become_layers(tmp_path, a_labelmap_with_overlap):
    write(a_labelmap_with_overlap, tmp_path / "both.nii.gz")
    stored = np.asanyarray(nib.load(tmp_path / "both.nii.gz").dataobj)
    np.testing.assert_array_equal(stored.T, a_labelmap_with_overlap.array)


def test_a_result_writes_its_labelmap_or_its_table_by_the_ending(tmp_path, a_result):
    write(a_result, tmp_path / "out.seg.nrrd")
    write(a_result, tmp_path / "out.csv")
    np.testing.assert_array_equal(read(tmp_path / "out.seg.nrrd").array, a_result.labelmap.array)
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["Segment", "Volume (mL)"]
    assert rows[2][0] == "Größe : übrig | Rest"
    assert float(rows[1][1]) == pytest.approx(16 * 0.7 * 0.8 * 2.5 / 1000)


def test_a_table_as_json_carries_where_it_came_from(tmp_path, a_result):
    write(a_result, tmp_path / "out.json")
    content = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert content["rows"][0]["Segment"] == "Anterior hippocampus"
    assert content["provenance"]["MedAI.Version"] == "1.2.0"


def test_provenance_is_in_the_header_of_nrrd(tmp_path, a_result):
    write(a_result, tmp_path / "out.seg.nrrd")
    image = sitk.ReadImage(str(tmp_path / "out.seg.nrrd"))
    assert image.GetMetaData("MedAI.SHA256") == "ab" * 32
    assert image.GetMetaData("MedAI.Parameter.overlap") == "0.5"


def test_provenance_and_segments_are_beside_a_nifti_file(tmp_path, a_result):
    assert names_of(write(a_result, tmp_path / "out.nii.gz")) == ["out.nii.gz", "out.json"]
    content = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert content["provenance"]["MedAI.Citation"] == "A. Author\nA journal"
    first = content["segments"][0]
    assert (first["name"], first["value"], first["type"]) == (
        "Anterior hippocampus",
        1,
        ["SCT", "72713000", "Hippocampus"],
    )


def names_of(files: tuple[Path, ...]) -> list[str]:
    return [file.name for file in files]


def test_provenance_is_in_the_header_of_metaimage(tmp_path, a_result):
    write(a_result, tmp_path / "out.mha")
    assert sitk.ReadImage(str(tmp_path / "out.mha")).GetMetaData("MedAI_Bundle") == "hippocampus_mr_unet"


def test_frames_of_a_series_become_numbered_files(tmp_path, a_result, a_provenance):
    series = Result((), a_provenance, frames=(a_result, a_result))
    assert names_of(write(series, tmp_path / "out.seg.nrrd")) == ["out_000.seg.nrrd", "out_001.seg.nrrd"]


def test_a_second_result_replaces_the_first(tmp_path, a_labelmap):
    (tmp_path / "out.seg.nrrd").write_text("old")
    write(a_labelmap, tmp_path / "out.seg.nrrd")
    assert read(tmp_path / "out.seg.nrrd").shape == a_labelmap.array.shape
    assert names_in(tmp_path) == ["out.seg.nrrd"]


def test_a_formula_becomes_text_in_a_table_and_a_negative_number_stays_one(tmp_path):
    cells = ("=1+1", "-2+3", "@SUM(A1)", "-0.5", "+1e-3", "-", "-inf")
    (path,) = write(Table({"x": cells}, "cells"), tmp_path / "out.csv")
    with path.open(encoding="utf-8-sig", newline="") as file:
        written = [row[0] for row in csv.reader(file)][1:]
    assert written == ["'=1+1", "'-2+3", "'@SUM(A1)", *cells[3:]]


@pytest.mark.parametrize("name", ["out", "out.dcm", "out.xyz", "out.png", "out.csv"])
def test_an_ending_that_cannot_hold_labels_is_refused(tmp_path, a_labelmap, name):
    with pytest.raises(WriteError, match=r"\.seg\.nrrd"):
        write(a_labelmap, tmp_path / name)
    assert names_in(tmp_path) == []


def test_a_volume_is_no_segmentation(tmp_path):
    with pytest.raises(WriteError, match="volume cannot be stored"):
        write(Volume(np.ones((2, 2, 2)), np.eye(4)), tmp_path / "v.seg.nrrd")


def test_a_result_without_images_is_refused(tmp_path, a_provenance):
    with pytest.raises(WriteError, match="nothing of that kind"):
        write(Result((Boxes((), (), ()),), a_provenance), tmp_path / "out.nrrd")


def test_a_missing_folder_is_named(tmp_path, a_labelmap):
    with pytest.raises(WriteError, match="There is no folder"):
        write(a_labelmap, tmp_path / "missing" / "out.nrrd")


def test_a_folder_of_that_name_stays(tmp_path, a_labelmap):
    (tmp_path / "out.nrrd").mkdir()
    with pytest.raises(WriteError, match="A folder has that name"):
        write(a_labelmap, tmp_path / "out.nrrd")
    assert names_in(tmp_path) == ["out.nrrd"]


@pytest.mark.parametrize("ending", IMAGE_ENDINGS)
def test_a_file_marked_read_only_is_not_replaced(tmp_path, a_labelmap, ending):
    target = tmp_path / f"out{ending}"
    target.write_text("precious")
    target.chmod(0o444)
    with pytest.raises(WriteError, match="read-only"):
        write(a_labelmap, target)
    assert target.read_text() == "precious"
    assert names_in(tmp_path) == [target.name]


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs a file system that nobody may write to")
def test_a_read_only_folder_is_told(a_labelmap):
    with pytest.raises(WriteError, match="could not be written"):
        write(a_labelmap, "/sys/kernel/out.nrrd")


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
@pytest.mark.parametrize("ending", IMAGE_ENDINGS)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, ending):
    target = tmp_path / f"out{ending}"
    target.write_text("precious")
    program = textwrap.dedent(
        """
        import resource, sys
        import numpy as np
        from medai.errors import WriteError
        from medai.files import write
        from medai.result import Labelmap, Segment
        array = np.random.default_rng(0).integers(0, 250, (64, 64, 64)).astype(np.uint8)
        labelmap = Labelmap(array, np.eye(4), (Segment("a", 1),))
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        try:
            write(labelmap, sys.argv[1])
        except WriteError as error:
            print(error)
        """
    )
    command = [sys.executable, "-c", program, str(target)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=SOURCE, timeout=120, check=False)
    assert "The disk is full" in done.stdout, done.stderr
    assert target.read_text() == "precious"
    assert names_in(tmp_path) == [target.name]


def test_an_interrupted_writer_leaves_the_old_file_and_nothing_else(tmp_path, a_labelmap, monkeypatch):
    from medai.files import nifti

    def interrupt(*args):
        raise KeyboardInterrupt

    (tmp_path / "out.nii.gz").write_text("precious")
    monkeypatch.setattr(nifti, "write_sidecar", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(a_labelmap, tmp_path / "out.nii.gz")
    assert (tmp_path / "out.nii.gz").read_text() == "precious"
    assert names_in(tmp_path) == ["out.nii.gz"]


def test_a_hundred_segments_keep_their_values(tmp_path):
    array = np.arange(1000, dtype=np.uint16).reshape(10, 10, 10) % 301
    labelmap = Labelmap(array, np.eye(4), tuple(Segment(f"s{n}", n) for n in range(1, 301)))
    write(labelmap, tmp_path / "many.seg.nrrd")
    np.testing.assert_array_equal(read(tmp_path / "many.seg.nrrd").array, array)
