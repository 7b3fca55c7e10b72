"""Image files made by somebody who means harm: each ends at once with a message, none reads what is not its own."""

from __future__ import annotations

import os
import zlib

import nibabel
import numpy as np
import pytest

from medai.errors import InputError, ReadError
from medai.files import read

NRRD = (
    "NRRD0004\ntype: uint8\ndimension: 3\nspace: left-posterior-superior\nsizes: 4 4 4\n"
    "space directions: (1,0,0) (0,1,0) (0,0,1)\nencoding: raw\nspace origin: (0,0,0)\ndata file: {}\n"
)
META = (
    "ObjectType = Image\nNDims = 3\nDimSize = 4 4 4\nElementType = MET_UCHAR\n"
    "ElementSpacing = 1 1 1\nElementDataFile = {}\n"
)


@pytest.fixture
def a_header(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(range(256)))
    (folder / "voxels.raw").write_bytes(bytes(range(64)))

    def write(name, target):
        path = folder / name
        path.write_text((NRRD if "nrrd" in name or "nhdr" in name else META).format(target))
        return path

    return write


@pytest.mark.parametrize("name", ["a.nhdr", "a.nrrd", "a.mhd", "a.mha"])
@pytest.mark.parametrize(
    "target", ["{outside}", "../secret.bin", "LIST\n{outside}", "{outside}%d 1 4 1", r"\\server\x", r"C:\x.raw"]
)
def test_voxels_from_another_folder_are_not_read(a_header, tmp_path, name, target):
    path = a_header(name, target.replace("{outside}", str(tmp_path / "secret.bin")))
    with pytest.raises(InputError, match="another place"):
        read(path)


@pytest.mark.parametrize(
    ("name", "before", "target"),
    [
        ("a.nhdr", "".join(f"key{n}:={'y' * 900}\n" for n in range(80)), "data file: {}"),  # past the first 64 KB
        ("a.nhdr", "# a\x0b\x0bb\n", "data file: {}"),  # Python would see an empty line, the end of the header
        ("a.nhdr", "key:=a\x85\x85b\n", "data file: {}"),
        ("a.nrrd", "key:=a\r\r\n", "data file: {}"),
        ("a.mhd", "".join(f"Key{n} = {'y' * 900}\n" for n in range(80)), "ElementDataFile = {}"),
        ("a.mhd", "", "ElementDataFile : {}"),  # MetaIO takes either sign
        ("a.mhd", "elementdatafile = LOCAL\n", "ElementDataFile = {}"),
        ("a.mhd", "Comment ElementDataFile = LOCAL\n", "ElementDataFile = {}"),
        ("a.mhd", "", "ElementDataFile = LIST 2\n\n{}"),
    ],
)
def test_no_way_of_writing_a_header_hides_where_its_voxels_are(a_header, tmp_path, name, before, target):
    path = a_header(name, "{}")
    lines = path.read_text().rsplit("\n", 2)
    text = f"{lines[0]}\n{before}{target.format(tmp_path / 'secret.bin')}\n"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="another place"):
        read(path)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("a.nhdr", "type: uint8", f"type: {'A' * 2000}"),
        ("a.nhdr", "sizes: 4 4 4", f"sizes: {'4 ' * 20000}"),
        ("a.nhdr", "encoding: raw", "encoding: raw\n" + "".join(f"k{n}:=v\n" for n in range(20_001))),
        ("a.mhd", "NDims = 3", "NDims = -1"),
        ("a.mhd", "NDims = 3", "NDims = 2147483647"),
        ("a.mhd", "NDims = 3", "NDims =\n2147483647"),
        ("a.mhd", "= voxels.raw", "= %s%n%s%n.raw 1 3 1"),
        ("a.mhd", "= voxels.raw", "=\nvoxels.raw"),
        ("a.mhd", "ElementDataFile", "Comment"),
    ],
)
def test_a_header_that_would_overrun_its_parser_is_not_given_to_it(a_header, name, old, new):
    path = a_header(name, "voxels.raw")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ReadError, match="Its header is incomplete, or not as any program writes it"):
        read(path)


def test_long_texts_in_a_header_are_no_harm(a_header):
    path = a_header("a.nhdr", "voxels.raw")
    path.write_text(path.read_text().replace("encoding: raw", f"encoding: raw\nMedAI.Notes:={'note ' * 5000}"))
    assert read(path).array.ravel().tolist() == list(range(64))


@pytest.mark.parametrize("ending", ["nii", "nrrd", "png", "dcm"])
def test_a_name_that_is_no_text_is_refused(tmp_path, ending):
    with pytest.raises(ReadError, match="Rename it"):
        read(tmp_path / f"B\udcfc.{ending}")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.timeout(60)
def test_a_pipe_in_the_place_of_an_image_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.nii")
    with pytest.raises(ReadError, match="no ordinary file"):
        read(tmp_path / "a.nii")


@pytest.mark.parametrize("name", ["a.nhdr", "a.mhd"])
def test_voxels_beside_their_header_are_read(a_header, name):
    assert read(a_header(name, "voxels.raw")).array.ravel().tolist() == list(range(64))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["a.nhdr", "a.mhd"])
def test_a_pipe_in_the_place_of_voxels_is_not_waited_for(a_header, name):
    path = a_header(name, "pipe")
    os.mkfifo(path.parent / "pipe")
    with pytest.raises(InputError, match="another place"):
        read(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.timeout(60)
def test_a_pipe_in_a_dicom_folder_is_passed_over(tmp_path):
    os.mkfifo(tmp_path / "image.dcm")
    with pytest.raises(ReadError, match="no DICOM image"):
        read(tmp_path)


@pytest.mark.timeout(60)
def test_a_file_that_inflates_long_after_its_last_voxel_is_refused(tmp_path):
    plain = nibabel.Nifti1Image(np.arange(64, dtype=np.uint8).reshape(4, 4, 4), np.eye(4)).to_bytes()
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(1 << 24)
    content = deflate.compress(plain) + b"".join(deflate.compress(zeros) for _ in range(20)) + deflate.flush()
    (tmp_path / "bomb.nii.gz").write_bytes(content)
    with pytest.raises(ReadError, match="cannot be read"):
        read(tmp_path / "bomb.nii.gz")


def test_a_picture_larger_than_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    import SimpleITK as sitk

    from medai.files import claims

    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((300, 300), np.uint8)), str(tmp_path / "a.png"))
    free = type("Memory", (), {"available": 1000})
    monkeypatch.setattr(claims.psutil, "virtual_memory", lambda: free)
    with pytest.raises(InputError, match="too large"):
        read(tmp_path / "a.png")
