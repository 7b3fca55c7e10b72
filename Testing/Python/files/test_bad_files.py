"""Files that cannot be used are refused in words, before they cost memory."""

from __future__ import annotations

import errno
import gzip
import struct
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import psutil
import pytest
import SimpleITK as sitk

from medai.errors import GeometryError, InputError, ReadError
from medai.files import read


def nrrd(sizes: str, directions: str = "(1,0,0) (0,1,0) (0,0,1)", kind: str = "short", encoding: str = "raw") -> bytes:
    return (
        f"NRRD0004\ntype: {kind}\ndimension: 3\nspace: left-posterior-superior\nsizes: {sizes}\n"
        f"space directions: {directions}\nkinds: domain domain domain\nendian: little\nencoding: {encoding}\n"
        "space origin: (0,0,0)\n\n"
    ).encode()


def meta_image(sizes: str, spacing: str = "1 1 1", file: str = "LOCAL") -> bytes:
    return (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nCompressedData = False\n"
        f"TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\nElementSpacing = {spacing}\nDimSize = {sizes}\n"
        f"ElementType = MET_SHORT\nElementDataFile = {file}\n"
    ).encode()


def nifti(shape: tuple[int, ...]) -> bytes:
    header = nib.Nifti2Header()
    header.set_data_shape(shape)
    header.set_data_dtype(np.int16)
    header.set_sform(np.eye(4), 1)
    header["magic"], header["vox_offset"] = b"n+2\0\r\n\x1a\n", 544
    return header.binaryblock + bytes(4)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ReadError, match=r"nowhere\.nii\.gz' was not found"):
        read(tmp_path / "nowhere.nii.gz")


def test_an_empty_file_is_told(tmp_path):
    (tmp_path / "empty.nii.gz").touch()
    with pytest.raises(ReadError, match="zero bytes"):
        read(tmp_path / "empty.nii.gz")


def test_an_unknown_format_lists_the_known_ones(tmp_path):
    (tmp_path / "report.pdf").write_bytes(b"%PDF-1.4 some text that goes on")
    with pytest.raises(ReadError, match=r"ends in '\.pdf'.*\.nii\.gz"):
        read(tmp_path / "report.pdf")


@pytest.mark.parametrize("name", ["text.nii", "text.nii.gz", "text.nrrd", "text.mha", "text.png", "text.dcm", "text"])
def test_a_text_file_under_an_image_name_is_refused(tmp_path, name):
    (tmp_path / name).write_text("This is no image, whatever its name says. " * 50)
    with pytest.raises(ReadError):
        read(tmp_path / name)


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.98])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "z.nrrd", "a.mha", "z.mha", "a.png"])
def test_a_truncated_file_is_refused(tmp_path, name, kept):
    array = np.random.default_rng(0).integers(0, 60000, (16, 17, 18)).astype(np.uint16)
    image = sitk.GetImageFromArray(array if not name.endswith("png") else array[0])
    path = tmp_path / name
    sitk.WriteImage(image, str(path), name.startswith("z"))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(ReadError, match="incomplete"):
        read(path)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.mha"])
def test_a_compressed_file_with_flipped_bits_is_refused(tmp_path, name):
    array = np.random.default_rng(0).integers(0, 60000, (16, 17, 18)).astype(np.uint16)
    path = tmp_path / name
    sitk.WriteImage(sitk.GetImageFromArray(array), str(path), True)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    path.write_bytes(damaged)
    with pytest.raises(ReadError, match="damaged"):
        read(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("big.nrrd", nrrd("100000 100000 100000") + bytes(1000)),
        ("big.mha", meta_image("100000 100000 100000") + bytes(1000)),
        ("big.nii", nifti((100000, 100000, 100000)) + bytes(1000)),
        ("big.nii.gz", gzip.compress(nifti((100000, 100000, 100000)) + bytes(1000))),
        ("big.nrrd", nrrd("100000 100000 100000", encoding="gzip") + gzip.compress(bytes(100000))),
    ],
    ids=["nrrd", "mha", "nii", "nii.gz", "nrrd gzip"],
)
def test_a_header_that_claims_more_than_the_file_holds_is_refused_before_memory_is_taken(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    before = psutil.Process().memory_info().rss
    with pytest.raises(ReadError, match=r"100000 x 100000 x 100000.*1\.8 PB"):
        read(tmp_path / name)
    assert psutil.Process().memory_info().rss - before < 2**26


def test_an_image_larger_than_the_free_memory_is_refused_before_it_is_read(tmp_path, monkeypatch, a_nifti_file):
    from medai.files import claims

    monkeypatch.setattr(claims.psutil, "virtual_memory", type("Memory", (), {"available": 100}))
    with pytest.raises(InputError, match=r"too large for this computer.*420 bytes of memory and 100 bytes are free"):
        read(a_nifti_file)


def test_a_detached_header_without_its_data_is_refused(tmp_path):
    (tmp_path / "a.mhd").write_bytes(meta_image("4 4 4", file="a.raw"))
    with pytest.raises(ReadError, match=r"a\.mhd"):
        read(tmp_path / "a.mhd")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("zero.nrrd", nrrd("4 4 4", "(0,0,0) (0,1,0) (0,0,1)") + bytes(128)),
        ("flat.nrrd", nrrd("4 4 4", "(1,0,0) (2,0,0) (0,0,1)") + bytes(128)),
        ("zero.mha", meta_image("4 4 4", "1 0 1") + bytes(128)),
    ],
)
def test_zero_spacing_or_parallel_axes_are_a_matter_of_geometry(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(GeometryError, match=r"spacing|thickness|voxel size"):
        read(tmp_path / name)


def test_zero_spacing_in_nifti_is_a_matter_of_geometry(tmp_path):
    image = nib.Nifti1Image(np.ones((3, 3, 3), np.uint8), None)
    image.header["pixdim"][1:4] = [1, 1, 0]
    image.header.set_sform(np.diag([1, 1, 0, 1.0]), 1)
    image.to_filename(tmp_path / "flat.nii")
    with pytest.raises(GeometryError, match="thickness"):
        read(tmp_path / "flat.nii")


def test_an_axis_without_voxels_is_a_matter_of_geometry(tmp_path):
    content = bytearray(nifti((4, 4, 4)) + bytes(128))
    struct.pack_into("<q", content, 16 + 8 * 2, -3)
    (tmp_path / "negative.nii").write_bytes(content)
    with pytest.raises(InputError):
        read(tmp_path / "negative.nii")


def test_complex_numbers_are_refused_in_nifti(tmp_path):
    nib.Nifti1Image(np.ones((3, 3, 3), np.complex64), np.eye(4)).to_filename(tmp_path / "k.nii")
    with pytest.raises(InputError, match="complex"):
        read(tmp_path / "k.nii")


def test_complex_numbers_are_refused_in_nrrd(tmp_path):
    header = nrrd("2 3 3 3", "none (1,0,0) (0,1,0) (0,0,1)", kind="float").replace(b"kinds:", b"kinds: complex")
    (tmp_path / "k.nrrd").write_bytes(header.replace(b"dimension: 3", b"dimension: 4") + bytes(216))
    with pytest.raises(InputError, match="complex"):
        read(tmp_path / "k.nrrd")


def test_too_many_dimensions_are_refused(tmp_path):
    nib.Nifti1Image(np.ones((2, 2, 2, 2, 2), np.uint8), np.eye(4)).to_filename(tmp_path / "five.nii")
    with pytest.raises(InputError, match="5 dimensions"):
        read(tmp_path / "five.nii")


def test_no_permission_is_told(a_nifti_file, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ReadError, match="no permission"):
        read(a_nifti_file)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_file_that_only_its_owner_may_read_is_told(a_nifti_file):
    a_nifti_file.chmod(0)
    try:
        a_nifti_file.read_bytes()
    except PermissionError:
        with pytest.raises(ReadError, match="no permission"):
            read(a_nifti_file)
    else:
        pytest.skip("the superuser may read everything")


def test_a_failing_disk_is_not_called_a_damaged_file(a_nifti_file, monkeypatch):
    def fail(self, *args, **kwargs):
        raise OSError(errno.EIO, "Input/output error", str(self))

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(ReadError, match="Input/output error"):
        read(a_nifti_file)


def test_a_folder_without_images_is_told(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(ReadError, match="holds no DICOM image"):
        read(tmp_path)
