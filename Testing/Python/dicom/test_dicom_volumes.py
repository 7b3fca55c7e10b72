"""DICOM series come in with the right voxels at the right place."""

from __future__ import annotations

import struct

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.uid import ImplicitVRLittleEndian, RLELossless

from medai.files import read
from medai.volume import Series, Volume

# LPS to RAS of the series that `write_series` writes by default.
EXPECTED = np.array([[-0.5, 0, 0, 10], [0, -0.8, 0, 20], [0, 0, 3, -30], [0, 0, 0, 1]])


def test_slices_are_sorted_by_their_place(write_series, some_slices):
    volume = read(write_series(some_slices)[0].parent)
    assert isinstance(volume, Volume)
    np.testing.assert_array_equal(volume.array, some_slices)
    np.testing.assert_allclose(volume.affine, EXPECTED)
    assert volume.array.dtype == np.int16
    assert (volume.name, volume.modality, volume.id) == ("T1 test", "MR", "1.2.3.4")


def test_slices_that_descend_are_turned_to_ascend_along_the_normal(write_series, some_slices):
    volume = read(write_series(some_slices, step=(0, 0, -3))[0].parent)
    np.testing.assert_array_equal(volume.array, some_slices[::-1])
    np.testing.assert_allclose(volume.affine[:3, 3], [10, 20, -45])


def test_an_oblique_series_keeps_its_axes(write_series, some_slices):
    a = np.deg2rad(25)
    row, column = np.array([np.cos(a), np.sin(a), 0]), np.array([0, 0, -1.0])
    normal = np.cross(row, column)
    volume = read(write_series(some_slices, axes=(*row, *column), step=tuple(2.5 * normal))[0].parent)
    lps = volume.affine[:3, :3] * np.array([[-1], [-1], [1]])
    np.testing.assert_allclose(lps, np.stack([row * 0.5, column * 0.8, normal * 2.5], axis=1), atol=1e-5)
    np.testing.assert_array_equal(volume.array, some_slices)


def test_gantry_tilt_gives_a_sheared_affine(write_series, some_slices):
    volume = read(write_series(some_slices, step=(0, 0.7, 3), kind="1.2.840.10008.5.1.4.1.1.2")[0].parent)
    np.testing.assert_allclose(volume.affine[:3, 2], [0, -0.7, 3], atol=1e-6)
    np.testing.assert_array_equal(volume.array, some_slices)
    assert volume.modality == "CT"


def test_hounsfield_units_stay_integers(write_series, some_slices):
    def rescale(_, dataset):
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024

    volume = read(write_series(some_slices, change=rescale)[0].parent)
    assert volume.array.dtype == np.int16
    np.testing.assert_array_equal(volume.array, some_slices - 1024)


def test_each_slice_is_scaled_by_its_own_slope(write_series, some_slices):
    def rescale(n, dataset):
        dataset.RescaleSlope, dataset.RescaleIntercept = 0.5 + n, 0.25

    volume = read(write_series(some_slices, change=rescale)[0].parent)
    assert volume.array.dtype == np.float32
    factors = (0.5 + np.arange(6))[:, np.newaxis, np.newaxis]
    np.testing.assert_allclose(volume.array, some_slices * factors + 0.25)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16"])
def test_stored_types_are_kept(write_series, dtype):
    array = np.arange(60).reshape(3, 4, 5).astype(dtype)
    volume = read(write_series(array)[0].parent)
    assert volume.array.dtype == dtype
    np.testing.assert_array_equal(volume.array, array)


def test_twelve_bit_signed_values_are_extended(write_series):
    array = np.array([[[-2048, -1, 0, 2047]] * 2] * 2, dtype=np.int16)

    def pack(n, dataset):
        dataset.BitsStored, dataset.HighBit = 12, 11
        dataset.PixelData = (array[n].view(np.uint16) & 0x0FFF).tobytes()

    np.testing.assert_array_equal(read(write_series(array, change=pack)[0].parent).array, array)


def test_several_images_at_every_place_give_a_series_in_time(write_series, some_slices):
    def repeat(n, dataset):
        dataset.ImagePositionPatient = [-10, -20, -30 + 3 * (n % 3)]
        dataset.InstanceNumber = n + 1
        dataset.AcquisitionTime = f"1200{2 * (n // 3):02d}"

    series = read(write_series(some_slices, change=repeat)[0].parent)
    assert isinstance(series, Series)
    assert (series.index, series.unit) == ((0.0, 2.0), "s")
    np.testing.assert_array_equal(series.frames[0].array, some_slices[:3])
    np.testing.assert_array_equal(series.frames[1].array, some_slices[3:])


def test_a_file_that_is_there_twice_counts_once(write_series, some_slices):
    files = write_series(some_slices)
    (files[0].parent / "copy").write_bytes(files[0].read_bytes())
    assert read(files[0].parent).shape == (6, 4, 5)


def test_one_slice_by_its_file_is_a_volume_of_one_slice(write_series, some_slices):
    files = write_series(some_slices)
    volume = read(files[2])
    assert volume.shape == (1, 4, 5)
    assert volume.spacing == pytest.approx((0.5, 0.8, 3))


def test_an_enhanced_file_is_a_volume(write_enhanced, some_slices):
    path = write_enhanced(some_slices, [(z, 0) for z in (6, 0, 3, 15, 9, 12)], [1] * 6)
    volume = read(path)
    np.testing.assert_array_equal(volume.array, some_slices[[1, 2, 0, 4, 5, 3]])
    np.testing.assert_allclose(volume.affine[:3, 3], [10, 20, 0])
    assert volume.spacing == pytest.approx((0.5, 0.8, 3))


def test_an_enhanced_file_with_times_is_a_series(write_enhanced, some_slices):
    series = read(write_enhanced(some_slices, [(z, t) for z in (0, 3) for t in (0, 1, 2)], [1, 1, 2.5] * 2))
    assert isinstance(series, Series)
    assert series.index == pytest.approx((0, 0.1, 0.2))
    np.testing.assert_array_equal(series.frames[1].array, some_slices[[1, 4]])
    np.testing.assert_allclose(series.frames[2].array, some_slices[[2, 5]] * 2.5)


def test_colour_pictures_have_components(write_series):
    array = np.arange(60, dtype=np.uint8).reshape(1, 4, 5, 3)

    def colour(_, dataset):
        dataset.Rows, dataset.Columns = 4, 5
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0

    np.testing.assert_array_equal(read(write_series(array, change=colour)[0]).array, array)


def test_an_ultrasound_clip_without_a_place_is_a_series_of_pictures(write_series):
    array = np.arange(60, dtype=np.uint8).reshape(1, 3, 4, 5)

    def clip(_, dataset):
        dataset.NumberOfFrames, dataset.FrameTime, dataset.Modality = 3, 40, "US"
        dataset.Rows, dataset.Columns = 4, 5
        del dataset.ImagePositionPatient, dataset.ImageOrientationPatient

    series = read(write_series(array, change=clip)[0])
    assert series.index == pytest.approx((0, 0.04, 0.08))
    np.testing.assert_array_equal(series.frames[2].array, array[:, 2])


def test_a_picture_without_a_place_is_one_slice(write_series, some_slices):
    def unplaced(_, dataset):
        del dataset.ImagePositionPatient, dataset.ImageOrientationPatient

    volume = read(write_series(some_slices[:1], change=unplaced)[0])
    assert volume.shape == (1, 4, 5)
    assert volume.spacing == pytest.approx((0.5, 0.8, 3))


def test_run_length_compressed_slices_are_decoded(write_series, some_slices):
    def compress(_, dataset):
        dataset.compress(RLELossless)

    np.testing.assert_array_equal(read(write_series(some_slices, change=compress)[0].parent).array, some_slices)


@pytest.mark.parametrize("compressor", ["JPEG", "JPEG2000"])
def test_lossless_jpeg_is_decoded_with_or_without_a_plugin_of_pydicom(tmp_path, write_series, compressor):
    """The stored values come back, not values that the decoder has scaled already."""
    array = np.random.default_rng(0).integers(0, 4000, (3, 16, 20)).astype(np.uint16)

    def compress(n, dataset):
        writer = sitk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.SetUseCompression(True)
        writer.SetCompressor(compressor)
        writer.SetFileName(str(tmp_path / "compressed.dcm"))
        writer.Execute(sitk.GetImageFromArray(array[n : n + 1]))
        encoded = pydicom.dcmread(tmp_path / "compressed.dcm")
        assert encoded.file_meta.TransferSyntaxUID.is_compressed
        dataset.file_meta.TransferSyntaxUID = encoded.file_meta.TransferSyntaxUID
        dataset["PixelData"] = encoded["PixelData"]
        dataset.RescaleSlope, dataset.RescaleIntercept = 2, 5

    np.testing.assert_array_equal(read(write_series(array, change=compress)[0].parent).array, array * 2 + 5)


def test_a_file_without_preamble_is_read(tmp_path, write_series, some_slices):
    old = tmp_path / "old"
    old.mkdir()
    for file in write_series(some_slices):
        bare = pydicom.Dataset(dict(pydicom.dcmread(file)))
        bare.save_as(old / file.name, implicit_vr=True, little_endian=True, enforce_file_format=False)
    assert (old / "IM0000").read_bytes()[:2] == b"\x08\x00"
    np.testing.assert_array_equal(read(old).array, some_slices)


def test_implicit_vr_files_are_read(write_series, some_slices):
    def implicit(_, dataset):
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian

    np.testing.assert_array_equal(read(write_series(some_slices, change=implicit)[0].parent).array, some_slices)


def csa_header(fields: dict[str, list[float]]) -> bytes:
    """Siemens' private header in its second form, holding numbers as text."""
    content = b"SV10\4\3\2\1" + struct.pack("<2I", len(fields), 77)
    for name, values in fields.items():
        content += struct.pack("<64si4s3i", name.encode(), len(values), b"FD", 4, 6, 77)
        for n in range(6):
            text = f"{values[n]:.8f}".encode() + b"\0" if n < len(values) else b""
            content += struct.pack("<4i", len(text), len(text), 77, len(text)) + text + bytes(-len(text) % 4)
    return content


def test_a_siemens_mosaic_is_taken_apart(write_series):
    slices = np.arange(5 * 4 * 6, dtype=np.uint16).reshape(5, 4, 6)
    tiles = np.zeros((3, 3, 4, 6), np.uint16)
    tiles.reshape(9, 4, 6)[:5] = slices
    picture = tiles.transpose(0, 2, 1, 3).reshape(1, 12, 18)

    def mosaic(_, dataset):
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]
        dataset.SpacingBetweenSlices = 3
        block = dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
        block.add_new(0x10, "OB", csa_header({"NumberOfImagesInMosaic": [5], "SliceNormalVector": [0, 0, 1]}))

    volume = read(write_series(picture, change=mosaic)[0])
    np.testing.assert_array_equal(volume.array, slices)
    # The corner that the header gives is that of a picture of 18 x 12 pixels around the same centre.
    np.testing.assert_allclose(volume.affine[:3, 3], [10 - 6 * 0.5, 20 - 4 * 0.8, -30])
