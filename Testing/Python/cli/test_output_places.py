"""Where results land: through links, in forbidden places, and never in the place of the image."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from medai.errors import WriteError
from medai.files import read, write
from medai.volume import Volume


@pytest.fixture
def link(tmp_path):
    def make(name: str, target: Path) -> Path:
        try:
            (tmp_path / name).symlink_to(target)
        except OSError:
            pytest.skip("links need a privilege here")
        return tmp_path / name

    return make


def test_through_a_link_to_a_file_that_file_is_replaced(medai, an_image, tmp_path, link):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "old.nrrd").write_text("old")
    place = link("out.nrrd", tmp_path / "store" / "old.nrrd")
    assert medai("segment", an_image(), "-m", "tiny", "-o", place).exit_code == 0
    assert place.is_symlink()
    assert read(tmp_path / "store" / "old.nrrd").shape == (24, 22, 20)
    assert [file.name for file in (tmp_path / "store").iterdir()] == ["old.nrrd"]


def test_through_a_link_to_nothing_the_file_is_made_where_it_leads(medai, an_image, tmp_path, link):
    (tmp_path / "store").mkdir()
    place = link("out.nrrd", tmp_path / "store" / "new.nrrd")
    assert medai("segment", an_image(), "-m", "tiny", "-o", place).exit_code == 0
    assert read(tmp_path / "store" / "new.nrrd").shape == (24, 22, 20)


def test_a_link_into_a_folder_that_is_gone_is_told_before_the_job_begins(medai, an_image, tmp_path, link):
    place = link("out.nrrd", tmp_path / "gone" / "new.nrrd")
    done = medai("segment", an_image(), "-m", "tiny", "-o", place)
    assert done.exit_code == 5
    assert f"There is no folder '{tmp_path / 'gone'}'" in done.stderr
    assert "Segmenting" not in done.stderr


def test_a_link_to_a_folder_is_a_folder(medai, an_image, tmp_path, link):
    (tmp_path / "store").mkdir()
    done = medai("segment", an_image(), "-m", "tiny", "-o", link("out", tmp_path / "store"))
    assert done.exit_code == 0
    assert [file.name for file in (tmp_path / "store").iterdir()] == ["brain.seg.nrrd"]


@pytest.mark.parametrize("way", ["itself", "a link", "a hard link", "a roundabout path"])
def test_the_image_is_never_replaced(medai, an_image, tmp_path, link, way):
    image = an_image()
    before = image.read_bytes()
    place = tmp_path / "other.nii.gz"
    if way == "a link":
        place = link("other.nii.gz", image)
    elif way == "a hard link":
        place.hardlink_to(image)
    else:
        place = image if way == "itself" else tmp_path / "x" / ".." / image.name
        (tmp_path / "x").mkdir()
    done = medai("segment", image, "-m", "tiny", "-o", place)
    assert done.exit_code == 2
    assert "is the input itself" in " ".join(done.stderr.replace("│", " ").split())
    assert image.read_bytes() == before


def test_a_frame_of_a_series_does_not_replace_an_image_of_the_same_name(medai, tmp_path):
    """Frame 0 of scan.nrrd would be called scan_000.nrrd, which is the second image of this patient."""
    array = np.random.default_rng(0).normal(size=(2, 18, 18, 18)).astype(np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=False), str(tmp_path / "scan.nrrd"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "scan_000.nrrd").hardlink_to(tmp_path / "scan.nrrd")
    before = (tmp_path / "scan.nrrd").read_bytes()
    done = medai("segment", tmp_path / "scan.nrrd", "-m", "tiny", "-o", tmp_path / "out", "--format", "nrrd")
    assert done.exit_code == 5
    assert "is the image itself" in done.stderr
    assert (tmp_path / "scan.nrrd").read_bytes() == before


def test_a_sidecar_that_came_with_the_image_stays(medai, an_image, tmp_path):
    image = an_image()
    (tmp_path / "brain.json").write_text('{"EchoTime": 0.03}')
    for _ in range(2):
        assert medai("segment", image, "-m", "tiny", "-o", tmp_path / "brain.nii").exit_code == 0
        assert (tmp_path / "brain.json").read_text() == '{"EchoTime": 0.03}'
    assert '"MedAI.Bundle": "tiny"' in (tmp_path / "brain.medai.json").read_text()


def test_a_sidecar_of_ones_own_is_replaced(medai, an_image, tmp_path):
    for _ in range(2):
        assert medai("segment", an_image(), "-m", "tiny", "-o", tmp_path / "out.nii").exit_code == 0
    assert sorted(file.name for file in tmp_path.glob("out*")) == ["out.json", "out.nii"]


def test_a_file_to_be_kept_is_refused_by_the_library_too(tmp_path):
    volume = Volume(np.ones((2, 2, 2), np.uint8), np.eye(4))
    (place,) = write(volume, tmp_path / "a.nii")
    shutil.copy(place, tmp_path / "copy.nii")
    with pytest.raises(WriteError, match="is the image itself"):
        write(volume, place, keep=(place,))
    write(volume, tmp_path / "copy.nii", keep=(place,))
    np.testing.assert_array_equal(np.asanyarray(nib.load(place).dataobj), 1)


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs a file system that nobody may write to")
def test_a_read_only_folder_is_told_before_the_job_begins(medai, an_image):
    done = medai("segment", an_image(), "-m", "tiny", "-o", "/sys/kernel/out.nrrd")
    assert done.exit_code == 5
    assert "The folder or file is read-only" in done.stderr
    assert "Segmenting" not in done.stderr


def test_something_in_the_way_of_the_uncertainty_is_told_before_the_job_begins(medai, an_image, tmp_path):
    (tmp_path / "out_uncertainty.nrrd").mkdir()
    done = medai("segment", an_image(), "-m", "tiny", "-m", "tiny", "-o", tmp_path / "out.seg.nrrd")
    assert done.exit_code == 5
    assert "out_uncertainty.nrrd" in done.stderr
    assert "A folder has that name" in done.stderr
    assert "Segmenting" not in done.stderr
    assert medai("segment", an_image(), "-m", "tiny", "-o", tmp_path / "out.seg.nrrd").exit_code == 0


def test_an_image_called_like_the_uncertainty_is_not_replaced_by_it(medai, an_image, tmp_path):
    image = tmp_path / "brain_uncertainty.nii"
    shutil.copy(an_image(), image)
    before = image.read_bytes()
    done = medai("segment", image, "-m", "tiny", "-m", "tiny", "-o", tmp_path / "brain.nii")
    assert done.exit_code == 5
    assert "the image itself" in done.stderr
    assert "Segmenting" not in done.stderr
    assert image.read_bytes() == before
