"""Whatever way an image lies in the patient, its labels lie the same way in every format."""

from __future__ import annotations

import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from medai.files import read, write
from medai.result import Labelmap, Segment

ANGLES = st.tuples(*[st.floats(-180, 180)] * 3)
SPACINGS = st.tuples(*[st.floats(0.01, 20)] * 3)
ORIGINS = st.tuples(*[st.floats(-1000, 1000)] * 3)
FLIPS = st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3)
SHEARS = st.tuples(*[st.floats(-0.6, 0.6)] * 3)


@st.composite
def affines(draw, *, sheared: bool = True):
    rotation = Rotation.from_euler("xyz", draw(ANGLES), degrees=True).as_matrix()
    shear = np.eye(3)
    if sheared:
        shear[0, 1], shear[0, 2], shear[1, 2] = draw(SHEARS)
    affine = np.eye(4)
    affine[:3, :3] = rotation @ shear @ np.diag(np.multiply(draw(SPACINGS), draw(FLIPS)))
    affine[:3, 3] = draw(ORIGINS)
    return affine


def labels(affine):
    array = np.zeros((2, 3, 4), np.uint8)
    array[1, 2, 3] = 1
    return Labelmap(array, affine, (Segment("a", 1),))


@settings(deadline=None, max_examples=60)
@given(affine=affines())
def test_nifti_gives_back_any_affine_that_nifti_can_hold_bit_for_bit(affine):
    affine = affine.astype(np.float32).astype(np.float64)
    with tempfile.TemporaryDirectory() as folder:
        write(labels(affine), Path(folder) / "out.nii")
        np.testing.assert_array_equal(read(Path(folder) / "out.nii").affine, affine)


@settings(deadline=None, max_examples=60)
@given(affine=affines(sheared=False))
def test_an_image_placed_by_its_qform_gives_labels_with_the_same_bits(affine):
    with tempfile.TemporaryDirectory() as folder:
        source = nib.Nifti1Image(np.ones((4, 3, 2), np.uint8), affine)
        source.set_qform(affine, 1)
        source.set_sform(None, 0)
        source.to_filename(Path(folder) / "in.nii")
        volume = read(Path(folder) / "in.nii")
        write(labels(volume.affine), Path(folder) / "out.nii")
        again = read(Path(folder) / "out.nii").affine
        # Three of the four numbers of a quaternion are stored; near 180 degrees the fourth is lost in their rounding.
        np.testing.assert_allclose(again, volume.affine, rtol=1e-6, atol=1e-6 * np.abs(volume.affine).max())


@settings(deadline=None, max_examples=60)
@given(affine=affines())
def test_nifti_rounds_other_affines_to_single_precision_and_no_further(affine):
    with tempfile.TemporaryDirectory() as folder:
        write(labels(affine), Path(folder) / "out.nii")
        again = read(Path(folder) / "out.nii").affine
        np.testing.assert_allclose(again, affine, rtol=2e-7, atol=2e-7 * np.abs(affine[:3]).max())


@settings(deadline=None, max_examples=40)
@given(affine=affines(sheared=False))
def test_other_readers_find_a_qform_where_the_axes_are_orthogonal(affine):
    affine = affine.astype(np.float32).astype(np.float64)
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    axes[:, 2] *= np.linalg.det(axes)
    # Turned by almost 180 degrees, a qform cannot hold the axes: the fourth number of its quaternion is not stored.
    assume(abs(nib.quaternions.mat2quat(axes)[0]) > 0.01)
    with tempfile.TemporaryDirectory() as folder:
        write(labels(affine), Path(folder) / "out.nii")
        header = nib.load(Path(folder) / "out.nii").header
        assert header["sform_code"] > 0
        assert header["qform_code"] > 0
        np.testing.assert_allclose(header.get_qform(), affine, rtol=1e-3, atol=1e-3 * np.abs(affine).max())


@pytest.mark.parametrize("ending", [".nrrd", ".seg.nrrd", ".mha"])
@settings(deadline=None, max_examples=60)
@given(affine=affines())
def test_itk_formats_keep_any_affine_to_the_last_digits(ending, affine):
    with tempfile.TemporaryDirectory() as folder:
        write(labels(affine), Path(folder) / f"out{ending}")
        again = read(Path(folder) / f"out{ending}").affine
        np.testing.assert_allclose(again, affine, rtol=1e-14, atol=1e-14 * np.abs(affine[:3, :3]).max())


@settings(deadline=None, max_examples=40)
@given(
    array=arrays(
        st.sampled_from(["uint8", "uint16", "uint32"]),
        st.tuples(*[st.integers(1, 6)] * 3),
        elements=st.integers(0, 200),
    ),
    ending=st.sampled_from([".nii.gz", ".nii", ".nrrd", ".seg.nrrd", ".mha"]),
)
def test_any_labels_of_any_size_come_back(array, ending):
    assume(array.size)
    with tempfile.TemporaryDirectory() as folder:
        write(Labelmap(array, np.eye(4), (Segment("a", 1),)), Path(folder) / f"out{ending}")
        np.testing.assert_array_equal(read(Path(folder) / f"out{ending}").array, array)
