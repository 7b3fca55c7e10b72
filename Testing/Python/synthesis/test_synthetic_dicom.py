"""A synthetic image as DICOM: read back by others as it was, and never as a patient's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

import medai
from medai import dicom
from medai.errors import GeometryError, InputError, WriteError
from medai.result import Provenance
from medai.volume import SYNTHETIC, Volume

OBLIQUE = np.array([[0.8, 0.3, 0, 5], [-0.6, 0.4, 0, -7], [0, 0, 2.5, 11], [0, 0, 0, 1.0]])
SOURCE = Provenance("synthesize", "dreamer", "1.0.0", "ab" * 32, {"seed": "3"}, software="medai 0.1.0", synthetic=True)


@pytest.fixture
def a_synthetic_volume() -> Volume:
    array = np.random.default_rng(0).integers(-50, 900, (4, 6, 5)).astype(np.int16)
    return Volume(array, OBLIQUE, "synthetic seed 3 no 0", "MR", notes=(SYNTHETIC,))


def test_every_slice_says_that_nobody_is_shown(a_synthetic_volume, tmp_path):
    written = dicom.write_synthetic(a_synthetic_volume, tmp_path / "out", SOURCE)
    assert len(written) == 4
    for number, file in enumerate(written, 1):
        found = pydicom.dcmread(file)
        assert found.SyntheticData == "YES"
        assert found.ConversionType == "SYN"
        assert list(found.ImageType[:2]) == ["DERIVED", "SECONDARY"]
        assert found.SOPClassUID == pydicom.uid.SecondaryCaptureImageStorage
        assert "SYNTHETIC" in str(found.PatientName)
        assert found.PatientID == "SYNTHETIC"
        assert not found.PatientBirthDate
        assert "dreamer" in found.DerivationDescription
        assert found.ImageComments == SYNTHETIC
        assert found.BurnedInAnnotation == "NO"
        assert found.ContributingEquipmentSequence[0].ManufacturerModelName == "dreamer"
        assert found.ContributingEquipmentSequence[0].PurposeOfReferenceCodeSequence[0].CodeValue == "109100"
        assert found.InstanceNumber == number
    assert len({pydicom.dcmread(file).SOPInstanceUID for file in written}) == 4
    assert len({pydicom.dcmread(file).SeriesInstanceUID for file in written}) == 1


def test_others_read_the_same_voxels_at_the_same_places(a_synthetic_volume, tmp_path):
    written = dicom.write_synthetic(a_synthetic_volume, tmp_path, SOURCE)
    image = sitk.ReadImage([str(file) for file in written])
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), a_synthetic_volume.array)
    for index in ((0, 0, 0), (4, 5, 3)):
        lps = np.array(image.TransformIndexToPhysicalPoint(index))
        np.testing.assert_allclose(lps * [-1, -1, 1], (OBLIQUE @ [*index, 1])[:3], atol=1e-5)


def test_it_is_read_back_marked(a_synthetic_volume, tmp_path):
    dicom.write_synthetic(a_synthetic_volume, tmp_path, SOURCE)
    back = dicom.read_dicom(tmp_path)
    assert back.notes == (SYNTHETIC,)
    assert back.modality == "MR"
    np.testing.assert_array_equal(back.array, a_synthetic_volume.array)
    np.testing.assert_allclose(back.affine, OBLIQUE, atol=1e-5)


def test_fractions_keep_sixteen_bits(a_synthetic_volume, tmp_path):
    fractions = replace(a_synthetic_volume, array=np.linspace(-0.25, 1, 120, dtype=np.float32).reshape(4, 6, 5))
    dicom.write_synthetic(fractions, tmp_path, SOURCE)
    np.testing.assert_allclose(dicom.read_dicom(tmp_path).array, fractions.array, atol=2e-5)


def test_slices_that_are_no_rectangles_are_refused(a_synthetic_volume, tmp_path):
    skewed = OBLIQUE @ np.array([[1, 0.2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    with pytest.raises(GeometryError, match="not perpendicular"):
        dicom.write_synthetic(replace(a_synthetic_volume, affine=skewed), tmp_path / "out", SOURCE)
    assert not (tmp_path / "out").exists()


def test_an_image_that_may_show_a_patient_is_refused(a_synthetic_volume, tmp_path):
    with pytest.raises(InputError, match="may show a patient"):
        dicom.write_synthetic(replace(a_synthetic_volume, notes=()), tmp_path / "out", SOURCE)
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_folders_place_is_told(a_synthetic_volume, tmp_path):
    (tmp_path / "out").write_text("here already")
    with pytest.raises(WriteError, match="cannot be made"):
        dicom.write_synthetic(a_synthetic_volume, tmp_path / "out", SOURCE)


def test_a_generators_own_image_can_be_exported(a_generator, tmp_path):
    result = next(medai.synthesize(a_generator, in_process=True, device="cpu"))
    dicom.write_synthetic(result.volume, tmp_path, result.provenance)
    back = dicom.read_dicom(tmp_path)
    np.testing.assert_allclose(back.array, result.volume.array, atol=1e-3)
    np.testing.assert_allclose(back.affine, result.volume.affine, atol=1e-5)


def test_what_cannot_be_written_as_a_whole_leaves_what_was_there(a_synthetic_volume, tmp_path):
    first = dicom.write_synthetic(a_synthetic_volume, tmp_path, SOURCE)
    before = first[0].read_bytes()
    first[3].unlink()
    first[3].mkdir()
    with pytest.raises(WriteError):
        dicom.write_synthetic(a_synthetic_volume, tmp_path, SOURCE)
    assert first[0].read_bytes() == before
    assert sorted(tmp_path.iterdir()) == list(first)


def test_names_in_any_language_are_read_back_whole(a_synthetic_volume, tmp_path):
    named = replace(a_synthetic_volume, name="synthetic bösartig\\良性 no 0")
    (first, *_) = dicom.write_synthetic(named, tmp_path, replace(SOURCE, bundle="träumer"))
    found = pydicom.dcmread(first)
    assert found.SeriesDescription == "synthetic bösartig/良性 no 0"
    assert found.ManufacturerModelName == "träumer"
    assert dicom.read_dicom(tmp_path).name == "synthetic bösartig/良性 no 0"
