"""Images come in as they lie on disk: same voxels, same place in the patient."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from medai.errors import InputError
from medai.files import read
from medai.volume import PIXELS_UNKNOWN, Series, Volume, apply_affine


def test_a_nifti_file_keeps_voxels_dtype_and_affine(a_nifti_file, some_voxels, an_oblique_affine):
    volume = read(a_nifti_file)
    assert isinstance(volume, Volume)
    np.testing.assert_array_equal(volume.array, some_voxels)
    assert volume.array.dtype == np.int16
    np.testing.assert_array_equal(volume.affine, an_oblique_affine)
    assert (volume.name, volume.id) == ("brain", str(a_nifti_file))


def test_a_path_may_be_text(a_nifti_file):
    assert read(str(a_nifti_file)).shape == (5, 6, 7)


def test_a_scaled_nifti_file_gives_real_values_in_single_precision(tmp_path, some_voxels):
    image = nib.Nifti1Image(some_voxels.T, np.eye(4))
    image.header.set_slope_inter(0.5, 10)
    image.to_filename(tmp_path / "scaled.nii")
    stored = nib.load(tmp_path / "scaled.nii")
    volume = read(tmp_path / "scaled.nii")
    assert volume.array.dtype == np.float32
    np.testing.assert_array_equal(volume.array, stored.get_fdata().T.astype(np.float32))


def test_a_big_endian_nifti_file_becomes_native(tmp_path, some_voxels):
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    nib.Nifti1Image(some_voxels.T, np.eye(4), header).to_filename(tmp_path / "old.nii")
    volume = read(tmp_path / "old.nii")
    assert volume.array.dtype.isnative
    np.testing.assert_array_equal(volume.array, some_voxels)


def test_a_nifti_file_in_two_dimensions_has_one_slice(tmp_path):
    nib.Nifti1Image(np.ones((4, 3), np.uint8), np.diag([2, 3, 1, 1])).to_filename(tmp_path / "plane.nii")
    assert read(tmp_path / "plane.nii").shape == (1, 3, 4)


def test_time_in_nifti_gives_a_series_with_seconds(tmp_path):
    array = np.arange(48, dtype=np.float32).reshape(2, 3, 4, 2)
    image = nib.Nifti1Image(array, np.eye(4))
    image.header.set_zooms((1, 1, 1, 2.5))
    image.header.set_xyzt_units("mm", "sec")
    image.to_filename(tmp_path / "bold.nii.gz")
    series = read(tmp_path / "bold.nii.gz")
    assert isinstance(series, Series)
    assert (series.index, series.unit, series.name) == ((0.0, 2.5), "s", "bold")
    np.testing.assert_array_equal(series.frames[1].array, array[..., 1].T)


@pytest.mark.parametrize("shape", [(2, 3, 4, 1), (2, 3, 4, 1, 1)])
def test_trailing_axes_of_length_one_are_no_series(tmp_path, shape):
    nib.Nifti1Image(np.ones(shape, np.uint8), np.eye(4)).to_filename(tmp_path / "one.nii")
    assert read(tmp_path / "one.nii").array.shape == (4, 3, 2)


def test_vectors_in_nifti_become_components(tmp_path):
    array = np.arange(72, dtype=np.float32).reshape(2, 3, 4, 1, 3)
    nib.Nifti1Image(array, np.eye(4)).to_filename(tmp_path / "field.nii")
    volume = read(tmp_path / "field.nii")
    assert (volume.shape, volume.channels) == ((4, 3, 2), 3)
    np.testing.assert_array_equal(volume.array[1, 2, 0], array[0, 2, 1, 0])


def test_colours_in_nifti_become_components(tmp_path):
    colours = np.arange(72, dtype=np.uint8).reshape(2, 3, 4, 3)
    records = colours.copy().view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
    nib.Nifti1Image(records, np.eye(4)).to_filename(tmp_path / "rgb.nii")
    volume = read(tmp_path / "rgb.nii")
    assert (volume.channels, volume.array.dtype) == (3, np.uint8)
    np.testing.assert_array_equal(volume.array[3, 2, 1], colours[1, 2, 3])


@pytest.mark.parametrize("codes", [(0, 0), (1, 0), (0, 1), (2, 1)], ids=str)
@pytest.mark.parametrize("wrong", ["neither", "sform", "pixdim"])
def test_the_affine_is_the_one_monai_sees(tmp_path, some_voxels, an_oblique_affine, codes, wrong):
    from monai.data import NibabelReader

    image = nib.Nifti1Image(some_voxels.T, an_oblique_affine)
    image.set_qform(an_oblique_affine, codes[1])
    shifted = an_oblique_affine.copy()
    shifted[:3, 3] += 1  # so that it shows which of the two was taken
    if wrong == "sform":
        shifted[:3, :3] *= 1.5
    image.set_sform(shifted, codes[0])
    if wrong == "pixdim":
        image.header["pixdim"][1:4] = [1, 2, 3]
    image.to_filename(tmp_path / "image.nii")
    reader = NibabelReader()
    _, meta = reader.get_data(reader.read(tmp_path / "image.nii"))
    np.testing.assert_array_equal(read(tmp_path / "image.nii").affine, meta["affine"])


def test_a_sheared_nifti_file_is_ordinary_input(tmp_path, some_voxels):
    affine = np.array([[1, 0.25, 0, 5], [0, 1, 0.5, 6], [0, 0, 2, 7], [0, 0, 0, 1.0]])
    nib.Nifti1Image(some_voxels.T, affine).to_filename(tmp_path / "tilted.nii")
    np.testing.assert_array_equal(read(tmp_path / "tilted.nii").affine, affine)


def test_values_that_are_no_numbers_are_left_to_the_job(tmp_path):
    array = np.full((3, 3, 3), np.nan, np.float32)
    nib.Nifti1Image(array, np.eye(4)).to_filename(tmp_path / "nan.nii")
    assert np.isnan(read(tmp_path / "nan.nii").array).all()


@pytest.mark.parametrize("name", ["a.nrrd", "a.nhdr", "a.mha", "a.mhd"])
@pytest.mark.parametrize("compressed", [False, True])
def test_itk_formats_keep_voxels_and_place(a_file_by_itk, some_voxels, name, compressed):
    path, image = a_file_by_itk(name, compressed=compressed)
    volume = read(path)
    np.testing.assert_array_equal(volume.array, some_voxels)
    assert volume.array.dtype == np.int16
    lps = image.TransformIndexToPhysicalPoint((6, 5, 4))
    ras = apply_affine(volume.affine, np.array([[6.0, 5, 4]]))[0]
    np.testing.assert_allclose(ras, [-lps[0], -lps[1], lps[2]], atol=1e-12)
    assert volume.name == "a"


def test_a_right_handed_nrrd_space_is_understood(tmp_path):
    header = (
        "NRRD0004\ntype: uint8\ndimension: 3\nspace: right-anterior-superior\nsizes: 2 2 2\n"
        "space directions: (2,0,0) (0,3,0) (0,0,4)\nkinds: domain domain domain\nencoding: raw\n"
        "space origin: (1,2,3)\n\n"
    )
    (tmp_path / "ras.nrrd").write_bytes(header.encode() + bytes(8))
    expected = np.array([[2, 0, 0, 1], [0, 3, 0, 2], [0, 0, 4, 3], [0, 0, 0, 1.0]])
    np.testing.assert_allclose(read(tmp_path / "ras.nrrd").affine, expected)


@pytest.mark.parametrize("name", ["seq.nrrd", "seq.mha"])
def test_four_dimensions_give_a_series(tmp_path, name):
    array = np.arange(120, dtype=np.int16).reshape(2, 3, 4, 5)
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=False), str(tmp_path / name))
    series = read(tmp_path / name)
    assert len(series.frames) == 2
    np.testing.assert_array_equal(series.frames[1].array, array[1])


def test_a_sequence_as_slicer_saves_it_gives_a_series(tmp_path):
    header = (
        "NRRD0004\ntype: uint8\ndimension: 4\nspace: left-posterior-superior\nsizes: 5 2 2 2\n"
        "space directions: none (1,0,0) (0,1,0) (0,0,1)\nkinds: list domain domain domain\nencoding: raw\n"
        "space origin: (0,0,0)\n\n"
    )
    (tmp_path / "cine.seq.nrrd").write_bytes(header.encode() + bytes(range(40)))
    series = read(tmp_path / "cine.seq.nrrd")
    assert len(series.frames) == 5
    np.testing.assert_array_equal(series.frames[2].array.ravel(), np.arange(2, 40, 5))


def test_components_of_nrrd_come_last(tmp_path):
    array = np.arange(72, dtype=np.uint8).reshape(2, 3, 4, 3)
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=True), str(tmp_path / "rgb.nrrd"))
    np.testing.assert_array_equal(read(tmp_path / "rgb.nrrd").array, array)


@pytest.mark.parametrize("name", ["lesion.png", "lesion.tif", "LESION.PNG"])
def test_a_picture_is_one_slice(tmp_path, name):
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / name))
    volume = read(tmp_path / name)
    np.testing.assert_array_equal(volume.array, array[np.newaxis])
    assert volume.name == name[:-4]


def test_a_jpeg_photograph_has_three_components(tmp_path):
    sitk.WriteImage(sitk.GetImageFromArray(np.full((8, 8, 3), 99, np.uint8), isVector=True), str(tmp_path / "a.jpg"))
    assert read(tmp_path / "a.jpg").array.shape == (1, 8, 8, 3)


def test_only_pictures_are_said_to_have_pixels_of_unknown_size(tmp_path):
    for name in ("a.png", "a.nrrd"):
        sitk.WriteImage(sitk.GetImageFromArray(np.eye(8, dtype=np.uint8)), str(tmp_path / name))
    assert [PIXELS_UNKNOWN in read(tmp_path / name).notes for name in ("a.png", "a.nrrd")] == [True, False]


def test_a_series_cannot_be_chosen_in_a_file(a_nifti_file):
    with pytest.raises(InputError, match="no series to choose from"):
        read(a_nifti_file, series=2)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("volumes/brain_mr_tumor.nrrd", (25, 256, 256)),
        ("volumes/head_ct_avm.nii.gz", (154, 242, 256)),
        ("ms_followup/patient01/study1_FLAIR.nii.gz", None),
    ],
)
def test_real_images_lie_where_simpleitk_puts_them(shared_data, name, shape):
    volume = read(shared_data / name)
    image = sitk.ReadImage(str(shared_data / name))
    assert shape is None or volume.shape == shape
    assert volume.shape == image.GetSize()[::-1]
    last = [n - 1 for n in image.GetSize()]
    lps = np.array(image.TransformIndexToPhysicalPoint(last))
    np.testing.assert_allclose(apply_affine(volume.affine, np.array([last], float))[0], lps * [-1, -1, 1], atol=1e-3)
