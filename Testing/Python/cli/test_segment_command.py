"""``medai segment`` from typed words to files, through the real worker."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from medai.files import read


def test_an_image_becomes_labels_on_its_own_grid(medai, an_image, an_affine, tmp_path):
    done = medai("segment", an_image(), "--model", "tiny", "--output", tmp_path / "labels.nii.gz", "--device", "cpu")
    assert done.exit_code == 0, done.output
    image = nib.load(tmp_path / "labels.nii.gz")
    np.testing.assert_array_equal(image.affine, an_affine)
    assert image.shape == (20, 22, 24)
    assert set(np.unique(image.dataobj)) <= {0, 1, 2}
    assert "left thing" in done.stdout.lower()
    assert "mL" in done.stdout
    assert "Segmenting" in done.stderr


def test_several_images_go_into_a_folder_under_their_names(medai, an_image, tmp_path):
    inputs = [an_image("one/scan.nii.gz"), an_image("two/scan.nii.gz"), an_image("other.nii")]
    done = medai("segment", *inputs, "-m", "tiny", "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    names = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert names == ["one_scan.seg.nrrd", "other.seg.nrrd", "two_scan.seg.nrrd"]


def test_images_that_differ_in_their_endings_alone_are_told_apart_by_these(medai, an_image, tmp_path):
    done = medai("segment", an_image("scan.nii.gz"), an_image("scan.nii"), "-m", "tiny", "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"scan.nii.gz.seg.nrrd", "scan.nii.seg.nrrd"}


@pytest.mark.parametrize("ending", ["nii.gz", "nii", "nrrd", "mha"])
def test_a_folder_takes_the_format_that_was_asked_for(medai, an_image, tmp_path, ending):
    done = medai("segment", an_image(), "-m", "tiny", "-o", f"{tmp_path / 'out'}/", "--format", ending)
    assert done.exit_code == 0, done.output
    assert read(tmp_path / "out" / f"brain.{ending}").shape == (24, 22, 20)


def test_json_tells_programs_everything_on_one_line(medai, an_image, tmp_path):
    done = medai("segment", an_image(), "-m", "tiny", "-o", tmp_path / "a.seg.nrrd", "--json", "--quiet")
    (line,) = done.stdout.splitlines()
    record = json.loads(line)
    assert record["status"] == "ok"
    assert record["output"] == [str(tmp_path / "a.seg.nrrd")]
    assert record["provenance"]["MedAI.Bundle"] == "tiny"
    labels = read(tmp_path / "a.seg.nrrd")
    assert sum(record["volumes_ml"].values()) == pytest.approx((labels.array > 0).sum() * 3 / 1000)
    assert done.stderr == ""


def test_quiet_prints_nothing_when_all_is_well(medai, an_image, tmp_path):
    done = medai("segment", an_image(), "-m", "tiny", "-o", tmp_path / "a.seg.nrrd", "--quiet")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")


def test_a_bad_image_does_not_keep_the_others_from_being_done(medai, an_image, tmp_path):
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(an_image().read_bytes()[:2000])
    done = medai("segment", broken, an_image("fine.nii.gz"), "-m", "tiny", "-o", tmp_path / "out", "--json")
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert (first["status"], first["error"]["kind"], second["status"]) == ("failed", "ReadError", "ok")
    assert done.exit_code == 3
    assert "1 of 2 inputs done. Failed: broken." in done.stderr
    assert (tmp_path / "out" / "fine.seg.nrrd").exists()


def test_failures_of_different_kinds_end_in_one(medai, an_image, tmp_path):
    (tmp_path / "out" / "fine.seg.nrrd").mkdir(parents=True)
    done = medai("segment", tmp_path / "missing.nii", an_image("fine.nii.gz"), "-m", "tiny", "-o", tmp_path / "out")
    assert done.exit_code == 1
    assert "was not found" in done.stderr
    assert "A folder has that name" in done.stderr


def test_existing_results_can_be_kept(medai, an_image, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "brain.seg.nrrd").write_text("from yesterday")
    done = medai("segment", an_image(), "-m", "tiny", "-o", tmp_path / "out", "--no-clobber", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["status"] == "kept"
    assert (tmp_path / "out" / "brain.seg.nrrd").read_text() == "from yesterday"
    assert medai("segment", an_image(), "-m", "tiny", "-o", tmp_path / "out").exit_code == 0
    assert read(tmp_path / "out" / "brain.seg.nrrd").shape == (24, 22, 20)


def test_a_region_limits_where_labels_are(medai, an_image, tmp_path):
    whole, part = tmp_path / "whole.nrrd", tmp_path / "part.nrrd"
    assert medai("segment", an_image(), "-m", "tiny", "-o", whole).exit_code == 0
    boxes = ["--region", "Left=-12,-5,26,12,12,16", "--region", "Right=-12,-16,26,12,6,16"]
    done = medai("segment", an_image(), "-m", "tiny", "-o", part, *boxes)
    assert done.exit_code == 0, done.output
    assert 0 < (read(part).array > 0).sum() < (read(whole).array > 0).sum()
    assert "Left left thing" in done.stdout
    assert "Right right thing" in done.stdout


def test_only_the_segments_asked_for_are_kept(medai, an_image, tmp_path):
    done = medai("segment", an_image(), "-m", "tiny", "-o", tmp_path / "a.nrrd", "--segment", "right thing", "--json")
    assert [name.lower() for name in json.loads(done.stdout)["volumes_ml"]] == ["right thing"]


def test_a_series_becomes_one_file_per_frame(medai, tmp_path):
    array = np.random.default_rng(0).normal(size=(2, 18, 18, 18)).astype(np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=False), str(tmp_path / "cine.nrrd"))
    done = medai("segment", tmp_path / "cine.nrrd", "-m", "tiny", "-o", tmp_path / "out", "--json")
    record = json.loads(done.stdout)
    assert [path.rpartition("cine")[2] for path in record["output"]] == ["_000.seg.nrrd", "_001.seg.nrrd"]
    assert len(record["volumes_ml"]) == 2
    again = medai("segment", tmp_path / "cine.nrrd", "-m", "tiny", "-o", tmp_path / "out", "--json", "--no-clobber")
    assert json.loads(again.stdout)["status"] == "kept"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["-m", "tinny", "-o", "a.nrrd"], 4, "Did you mean 'tiny'"),
        (["-m", "tiny", "-o", "a.docx"], 2, "no folder"),
        (["-m", "tiny", "-o", "missing/deep/brain.nii.gz", "--segment", "liver"], 3, "no segment called 'liver'"),
        (["-m", "tiny", "-o", "a.nrrd", "--region", "1,2,3"], 2, "is no box"),
        (["-m", "tiny", "-o", "a.nrrd", "--region", "0,0,0,10,10,0"], 2, "is no box"),
        (["-m", "tiny", "-o", "a.nrrd", "--region", "900,0,0,10,10,10"], 3, "outside the image"),
        (["-m", "tiny", "-o", "a.nrrd", "--overlap", "1.5"], 2, "overlap"),
        (["-m", "tiny", "-o", "a.nrrd", "--device", "abacus"], 3, "abacus"),
        (["-m", "tiny", "-o", "a.nrrd", "--series", "2"], 3, "no series to choose from"),
        (["-m", "tiny"], 2, "--output"),
        (["-m", "tiny", "-o", "brain.nii.gz"], 2, "the input itself"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_mistakes_are_explained_with_their_own_exit_code(
    medai, an_image, tmp_path, monkeypatch, *, arguments, code, words
):
    monkeypatch.chdir(tmp_path)
    done = medai("segment", an_image(), *arguments)
    assert done.exit_code == code, done.output
    assert words in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.output


def test_several_images_cannot_go_into_one_file(medai, an_image, tmp_path):
    done = medai("segment", an_image("a.nii"), an_image("b.nii"), "-m", "tiny", "-o", tmp_path / "out.nrrd")
    assert done.exit_code == 2
    assert "name a folder" in " ".join(done.stderr.replace("│", " ").split())


def test_images_taken_together_are_one_patient(medai, an_image, tmp_path):
    inputs = [an_image("t1.nii"), an_image("t2.nii")]
    done = medai("segment", *inputs, "--together", "-m", "pair", "-o", tmp_path / "out", "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["input"] == [str(path) for path in inputs]
    assert record["output"] == [str(tmp_path / "out" / "t1.seg.nrrd")]


def test_images_taken_together_must_fit_the_model(medai, an_image, tmp_path):
    done = medai("segment", an_image("a.nii"), an_image("b.nii"), "--together", "-m", "tiny", "-o", tmp_path / "o.nrrd")
    assert done.exit_code == 3, done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "o.nrrd").exists()


def test_a_bug_is_told_in_a_sentence_and_shown_to_developers_only(medai, an_image, tmp_path, monkeypatch):
    from medai.files import reading

    def fail(*args):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(reading, "_read_file", fail)
    done = medai("segment", an_image(), "-m", "tiny", "-o", tmp_path / "a.nrrd")
    assert done.exit_code == 1
    assert "Something unexpected went wrong" in done.stderr
    assert "Traceback" not in done.output
    assert "Traceback" in medai("segment", an_image(), "-m", "tiny", "-o", tmp_path / "a.nrrd", "--debug").stderr


def test_mirrors_that_vote_leave_their_disagreement_beside_the_labels(medai, an_image, an_affine, tmp_path):
    done = medai("segment", an_image(), "-m", "tiny", "-o", tmp_path / "labels.seg.nrrd", "--tta", "--backend", "torch")
    assert done.exit_code == 0, done.output
    assert sorted(file.name for file in tmp_path.glob("labels*")) == ["labels.seg.nrrd", "labels_uncertainty.nrrd"]
    uncertainty = read(tmp_path / "labels_uncertainty.nrrd")
    np.testing.assert_allclose(uncertainty.affine, an_affine, atol=1e-6)
    assert 0 <= uncertainty.array.min() <= uncertainty.array.max() < 1


def test_a_model_given_twice_votes_with_itself(medai, an_image, tmp_path):
    done = medai("segment", an_image(), "-m", "tiny", "-m", "tiny", "-o", tmp_path / "labels.nii.gz", "--json")
    record = json.loads(done.stdout)
    assert record["output"] == [str(tmp_path / name) for name in ("labels.nii.gz", "labels.json")] + [
        str(tmp_path / name) for name in ("labels_uncertainty.nii.gz", "labels_uncertainty.json")
    ]
    assert not read(tmp_path / "labels_uncertainty.nii.gz").array.any()


def test_an_unknown_backend_is_refused_with_those_that_exist(medai, an_image, tmp_path):
    done = medai("segment", an_image(), "-m", "tiny", "-o", tmp_path / "labels.nii.gz", "--backend", "abacus")
    assert done.exit_code != 0
    assert "openvino" in done.stderr
    assert "Traceback" not in done.stderr
