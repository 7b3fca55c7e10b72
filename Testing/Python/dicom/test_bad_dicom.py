"""DICOM that would give a wrong volume is refused, with the reason a radiographer can act on."""

from __future__ import annotations

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from medai.dicom import list_series
from medai.errors import DependencyError, GeometryError, InputError, ReadError
from medai.files import read


def test_a_missing_slice_is_told_with_its_place(write_series, some_slices):
    def leave_out(n, dataset):
        if n >= 3:  # between the third and the fourth slice
            dataset.ImagePositionPatient[2] += 3

    with pytest.raises(GeometryError, match=r"Between S -24\.0 mm and S -18\.0 mm a slice is missing: .*6\.00.*3\.00"):
        read(write_series(some_slices, change=leave_out)[0].parent)


def test_several_missing_slices_are_counted(write_series, some_slices):
    def leave_out(n, dataset):
        if n >= 3:
            dataset.ImagePositionPatient[2] += 9

    with pytest.raises(GeometryError, match="3 slices are missing"):
        read(write_series(some_slices, change=leave_out)[0].parent)


def test_a_missing_image_of_one_time_is_told(write_series, some_slices):
    def repeat(n, dataset):
        dataset.ImagePositionPatient = [-10, -20, -30 + 3 * (n % 3)]

    files = write_series(some_slices, change=repeat)
    files[0].unlink()
    with pytest.raises(GeometryError, match="2 images are needed at every position, but there are 1 at S"):
        read(files[0].parent)


def test_uneven_slices_are_refused(write_series, some_slices):
    def stretch(n, dataset):
        dataset.ImagePositionPatient[2] += 0.4 * n * n

    with pytest.raises(GeometryError, match=r"unevenly spaced|missing"):
        read(write_series(some_slices, change=stretch)[0].parent)


def test_positions_rounded_by_the_scanner_are_even_enough(write_series, some_slices):
    def rounding(n, dataset):
        dataset.ImagePositionPatient[2] += 0.05 * (-1) ** n

    assert read(write_series(some_slices, change=rounding)[0].parent).shape == (6, 4, 5)


def test_a_slice_shifted_sideways_is_refused(write_series, some_slices):
    def shift(n, dataset):
        if n == 2:
            dataset.ImagePositionPatient[0] += 10

    with pytest.raises(GeometryError, match=r"slice at S -24\.0 mm is shifted"):
        read(write_series(some_slices, change=shift)[0].parent)


def test_mixed_orientations_are_refused(write_series, some_slices):
    def turn(n, dataset):
        if n >= 3:
            dataset.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]

    with pytest.raises(GeometryError, match="oriented differently"):
        read(write_series(some_slices, change=turn)[0].parent)


def test_mixed_sizes_are_refused_with_both(write_series, some_slices):
    def crop(n, dataset):
        if n == 1:
            dataset.Rows, dataset.PixelData = 2, dataset.PixelData[:20]

    with pytest.raises(GeometryError, match=r"5x2, 5x4 pixels"):
        read(write_series(some_slices, change=crop)[0].parent)


def test_slices_without_a_position_among_others_are_refused(write_series, some_slices):
    def forget(n, dataset):
        if n == 4:
            del dataset.ImagePositionPatient

    with pytest.raises(GeometryError, match="1 of its 6 slices"):
        read(write_series(some_slices, change=forget)[0].parent)


def test_several_pictures_without_a_place_are_no_volume(write_series, some_slices):
    def forget(_, dataset):
        del dataset.ImagePositionPatient, dataset.ImageOrientationPatient

    with pytest.raises(InputError, match="6 pictures that do not say where they lie"):
        read(write_series(some_slices, change=forget)[0].parent)


@pytest.mark.parametrize("axes", [(1, 0, 0, 1, 0, 0), (0, 0, 0, 0, 0, 0), (2, 0, 0, 0, 1, 0)])
def test_axes_that_are_none_are_refused(write_series, some_slices, axes):
    with pytest.raises(GeometryError, match="does not say where it lies"):
        read(write_series(some_slices, axes=axes)[0].parent)


def test_zero_pixel_spacing_is_refused(write_series, some_slices):
    with pytest.raises(GeometryError, match="no thickness"):
        read(write_series(some_slices, spacing=(0, 0))[0].parent)


def test_a_truncated_file_is_named(write_series, some_slices):
    files = write_series(some_slices)
    content = files[3].read_bytes()
    files[3].write_bytes(content[:-10])
    with pytest.raises(ReadError, match="IM0003' is damaged"):
        read(files[0].parent)


def test_a_file_that_ends_within_its_header_is_named(write_series, some_slices):
    files = write_series(some_slices)
    files[3].write_bytes(files[3].read_bytes()[:600])
    with pytest.raises(ReadError, match="IM0003' is damaged"):
        read(files[0].parent)


@pytest.mark.parametrize(
    ("syntax", "package"),
    [(b"1.2.840.10008.1.2.4.201", "pylibjpeg-openjpeg"), (b"1.2.840.10008.1.2.4.110", "pylibjpeg")],
    ids=["HTJ2K", "JPEG XL, which pydicom has not heard of"],
)
def test_compressed_pixels_without_a_decoder_name_the_package(write_series, some_slices, syntax, package):
    def compress(_, dataset):
        dataset.PixelData = encapsulate([b"\xff\x4f\xff\x51" + bytes(60)])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.201"

    files = write_series(some_slices, change=compress)
    for file in files:
        file.write_bytes(file.read_bytes().replace(b"1.2.840.10008.1.2.4.201", syntax))
    with pytest.raises(DependencyError, match=f"Install the Python package {package}"):
        read(files[0].parent)


def test_a_video_is_refused(write_series, some_slices):
    def film(_, dataset):
        dataset.PixelData = encapsulate([bytes(64)])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"

    with pytest.raises(InputError, match="is a video"):
        read(write_series(some_slices[:1], change=film)[0])


def test_a_header_that_claims_more_than_memory_is_refused_before_pixels_are_read(write_series, some_slices):
    def exaggerate(_, dataset):
        dataset.Rows = dataset.Columns = 65535
        dataset.NumberOfFrames = 100000
        del dataset.ImagePositionPatient, dataset.ImageOrientationPatient

    with pytest.raises(InputError, match="too large for this computer"):
        read(write_series(some_slices[:1], change=exaggerate)[0])


def test_several_series_are_listed_and_one_must_be_chosen(write_series, some_slices):
    def name(_, dataset):
        dataset.SeriesDescription, dataset.SeriesNumber = "FLAIR", 3

    write_series(some_slices)
    folder = write_series(some_slices[:4], uid="1.2.3.9", folder="series/deeper", change=name)[0].parent.parent
    with pytest.raises(InputError, match=r"(?s)2 series.*--series.*1: FLAIR \(MR, 4 images of 5x4.*2: T1 test"):
        read(folder)
    for choice in (1, "1", "flair", "1.2.3.9"):
        assert read(folder, series=choice).shape == (4, 4, 5)
    with pytest.raises(InputError, match=r"(?s)no series 'T2'.*1: FLAIR"):
        read(folder, series="T2")


def test_two_series_of_one_description_ask_for_the_number(write_series, some_slices):
    write_series(some_slices)
    folder = write_series(some_slices, uid="1.2.3.9", folder="series/b")[0].parent.parent
    with pytest.raises(InputError, match="several series 'T1 test'"):
        read(folder, series="T1 test")


def test_reports_and_plans_in_the_folder_are_ignored(write_series, some_slices):
    folder = write_series(some_slices)[0].parent
    for number, (modality, kind) in enumerate(
        [
            ("SR", "1.2.840.10008.5.1.4.1.1.88.11"),
            ("RTSTRUCT", "1.2.840.10008.5.1.4.1.1.481.3"),
            ("PR", "1.2.840.10008.5.1.4.1.1.11.1"),
        ]
    ):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = kind, generate_uid(), modality
        dataset.SeriesInstanceUID = generate_uid()
        pydicom.dcmwrite(folder / f"other{number}.dcm", dataset, enforce_file_format=True)
    (folder / "notes.txt").write_text("no DICOM")
    (folder / ".hidden").write_bytes(bytes(200))
    assert [series.uid for series in list_series(folder)] == ["1.2.3.4"]
    assert read(folder).shape == (6, 4, 5)


def test_a_mosaic_without_its_private_header_is_refused_not_misread(write_series, some_slices):
    def mosaic(_, dataset):
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]

    with pytest.raises(InputError, match="mosaic"):
        read(write_series(some_slices, change=mosaic)[0].parent)
