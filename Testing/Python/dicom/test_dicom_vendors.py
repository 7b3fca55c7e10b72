"""Real scanners' files give the voxels and places that dcm2niix finds."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from medai.files import read
from medai.volume import Series, Volume, apply_affine


def frames_of(image: Volume | Series) -> tuple[Volume, ...]:
    return image.frames if isinstance(image, Series) else (image,)


def at_the_same_places(frame: Volume, reference: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """The reference's voxels in the frame's own order; fails when a voxel's centre is not one of the reference's."""
    k, j, i = np.indices(frame.shape)
    ijk = np.stack([i.ravel(), j.ravel(), k.ravel()], axis=1).astype(float)
    found = apply_affine(np.linalg.inv(affine) @ frame.affine, ijk)
    np.testing.assert_allclose(found, np.rint(found), atol=0.02)
    return reference[tuple(np.rint(found).astype(int).T)].reshape(frame.shape)


@pytest.mark.parametrize(
    ("folder", "reference"),
    [
        ("vendors/In/ge_mr_0004", "vendors/Ref/DCM2NIIX_regression_test_4.nii"),
        ("vendors/In/siemens_mr_0003", "vendors/Ref/EPI_PE=AP_3.nii"),
        ("fragments/In", "fragments/Ref/anat-T1w_acq-tfl_5001.nii"),
        ("enhanced/In/Siemens", "enhanced/Ref/Siemens_REST1_w_SMS_PF7-8_6.nii"),
    ],
    ids=["GE 4D in single files", "Siemens mosaic", "JPEG lossless in fragments", "Siemens enhanced"],
)
def test_voxels_and_places_are_those_of_dcm2niix(shared_data, folder, reference):
    image = nib.load(shared_data / "dicom" / reference)
    expected = np.asanyarray(image.dataobj)
    frames = frames_of(read(shared_data / "dicom" / folder))
    assert len(frames) == (expected.shape[3] if expected.ndim == 4 else 1)
    for n, frame in enumerate(frames):
        one = expected[..., n] if expected.ndim == 4 else expected
        np.testing.assert_array_equal(frame.array, at_the_same_places(frame, one, image.affine))


def test_a_philips_field_map_is_scaled_and_kept_apart_from_its_magnitude(shared_data):
    magnitude, field = frames_of(read(shared_data / "dicom/enhanced/In/Philips"))
    for frame, name in ((magnitude, "e1"), (field, "e2_fieldmaphz")):
        image = nib.load(shared_data / f"dicom/enhanced/Ref/Philips_WIP_B0_NS_801_{name}.nii")
        expected = at_the_same_places(frame, np.asanyarray(image.dataobj), image.affine)
        # dcm2niix scales magnitudes by Philips' private slope: the same picture in other units.
        assert np.corrcoef(frame.array.ravel(), expected.ravel())[0, 1] > 0.99999
    np.testing.assert_allclose(field.array, expected, atol=0.3)


def test_private_tags_renamed_by_an_archive_change_nothing(shared_data):
    ours, theirs = (read(shared_data / f"dicom/agfa/{name}") for name in ("Siemens", "Agfa"))
    assert len(ours.frames) == len(theirs.frames) == 4
    for a, b in zip(ours.frames, theirs.frames, strict=True):
        np.testing.assert_array_equal(a.array, b.array)
        np.testing.assert_array_equal(a.affine, b.affine)


def test_a_study_with_many_series_needs_a_choice(shared_data):
    volume = read(shared_data / "brain_mr_dicom", series="T2_reg")
    assert volume.shape == (22, 512, 512)
    assert volume.spacing == pytest.approx((0.4297, 0.4297, 6.5), abs=1e-3)
