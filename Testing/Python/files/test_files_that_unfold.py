"""Small files that unfold to gigabytes are refused before they do."""

from __future__ import annotations

import gzip
import sys
import zlib

import nibabel as nib
import numpy as np
import psutil
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import generate_uid

from medai.errors import ReadError
from medai.files import read

GIGABYTE = 1 << 30
DEFLATED = "1.2.840.10008.1.2.1.99"


@pytest.fixture
def little_memory():
    """Fails when more than a quarter of a gigabyte is taken, even for a moment."""
    if sys.platform == "win32":
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + (GIGABYTE >> 2), hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def zeros(count: int, deflate) -> bytes:
    piece = bytes(1 << 24)
    return b"".join(deflate.compress(piece) for _ in range(count >> 24)) + deflate.flush()


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("little_memory")
def test_compressed_nifti_that_claims_more_than_it_can_hold_is_refused(tmp_path):
    header = nib.Nifti2Header()
    header.set_data_shape((4000, 4000, 1500))
    header.set_data_dtype(np.int16)
    header["vox_offset"] = 544
    (tmp_path / "bomb.nii.gz").write_bytes(gzip.compress(header.binaryblock + bytes(5 << 20)))
    with pytest.raises(ReadError, match=r"44\.7 GB"):
        read(tmp_path / "bomb.nii.gz")


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("little_memory")
def test_compressed_metaimage_that_holds_more_than_it_claims_is_refused(tmp_path):
    header = (
        b"ObjectType = Image\nNDims = 3\nBinaryData = True\nCompressedData = True\n"
        b"ElementSpacing = 1 1 1\nDimSize = 16 16 16\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    )
    (tmp_path / "bomb.mha").write_bytes(header + zeros(GIGABYTE // 2, zlib.compressobj(1)))
    with pytest.raises(ReadError, match="cannot be read"):
        read(tmp_path / "bomb.mha")


@pytest.fixture
def a_deflated_dicom(tmp_path):
    """Made of real parts: the meta header by pydicom, then whatever is deflated behind it."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = DEFLATED
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.SeriesInstanceUID, dataset.Modality = "1.2.3", "MR"
    dataset.Rows, dataset.Columns = 4, 5
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.SliceThickness = [1, 1], 1
    dataset.PixelData = bytes(range(20))
    path = tmp_path / "deflated.dcm"
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    return path


def test_a_deflated_dicom_file_is_read(a_deflated_dicom):
    assert read(a_deflated_dicom).array.ravel().tolist() == list(range(20))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("as_folder", [False, True], ids=["file", "folder"])
@pytest.mark.usefixtures("little_memory")
def test_a_deflated_dicom_file_that_unfolds_to_gigabytes_is_refused(a_deflated_dicom, as_folder):
    meta = pydicom.filereader.read_file_meta_info(a_deflated_dicom)
    start = 132 + 12 + meta.FileMetaInformationGroupLength
    whole = a_deflated_dicom.read_bytes()
    plain = zlib.decompress(whole[start:], -zlib.MAX_WBITS)
    deflate = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    a_deflated_dicom.write_bytes(whole[:start] + deflate.compress(plain) + zeros(GIGABYTE // 2, deflate))
    assert a_deflated_dicom.stat().st_size < 4 << 20
    with pytest.raises(ReadError, match="unfolds to far more than any image"):
        read(a_deflated_dicom.parent if as_folder else a_deflated_dicom)
