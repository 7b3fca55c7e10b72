"""NRRD, MetaImage and plain pictures, read by SimpleITK; its LPS becomes RAS here."""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medai.errors import GeometryError, InputError, ReadError
from medai.files import formats
from medai.files.claims import check_claim, check_memory
from medai.files.headers import check_header
from medai.volume import PIXELS_UNKNOWN, SYNTHETIC, SYNTHETIC_KEY, Affine, Series, Volume

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_with_itk(path: Path) -> Volume | Series:
    """Read one file of a format that SimpleITK knows.

    Raises
    ------
    ReadError
        When the file is damaged or not what its name says.
    GeometryError
        When its spacing is zero or its axes are parallel.
    InputError
        When its voxels are complex numbers or it has more than four dimensions.
    """
    import SimpleITK as sitk

    check_header(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        claimed = _check(path, reader)
        _check_deflated(path, claimed)
        image = reader.Execute()
    except (RuntimeError, zlib.error) as error:
        raise _explained(path, str(error)) from error
    array = sitk.GetArrayFromImage(image)
    keys = {key.replace("_", ".") for key in image.GetMetaDataKeys()}  # MetaImage has no dots in its keys
    told = {SYNTHETIC: SYNTHETIC_KEY in keys, PIXELS_UNKNOWN: formats.suffix(path) in formats.PICTURE}
    notes = tuple(note for note, holds in told.items() if holds)
    components = image.GetNumberOfComponentsPerPixel()
    dimension = image.GetDimension()
    affine = _affine(image, dimension)
    name, identity = formats.stem(path), str(path)
    if dimension == 4:
        frames, step = array, float(image.GetSpacing()[3])
    elif components > 1 and "list" in _kinds(image):
        frames, step = np.moveaxis(array.reshape(*array.shape[:-1], components), -1, 0), 1.0
    else:
        shape = array.shape if dimension == 3 else (1, *array.shape)
        return Volume(array.reshape(shape), affine, name, id=identity, notes=notes)
    if len(frames) == 1:
        return Volume(frames[0], affine, name, id=identity, notes=notes)
    index = tuple(n * step for n in range(len(frames)))
    return Series(
        tuple(
            Volume(_contiguous(frame), affine, f"{name} {n}", id=identity, notes=notes)
            for n, frame in enumerate(frames)
        ),
        index,
        "",
        name,
        identity,
    )


def _check(path: Path, reader: Any) -> int:
    """Refuse what cannot be used; how many bytes of voxels the header claims."""
    import SimpleITK as sitk

    kind = sitk.GetPixelIDValueAsString(reader.GetPixelID())
    if "complex" in kind:
        raise InputError(
            f"'{path.name}' holds complex numbers.",
            "A model needs one ordinary number per voxel.",
            "Export the magnitude image instead.",
        )
    if reader.GetDimension() not in (2, 3, 4):
        raise InputError(
            f"'{path.name}' has {reader.GetDimension()} dimensions.",
            "An image has up to three, and one more for time.",
            "Save the part that you need as an image of its own.",
        )
    components = reader.GetNumberOfComponents()
    shape = (*reader.GetSize(), *([components] if components > 1 else []))
    claimed: int = math.prod(shape) * _voxel_bytes(kind)
    if formats.suffix(path) in formats.PICTURE:
        check_memory(path, claimed)  # each compresses in its own way, so only memory is asked for
    else:
        stored, compressed = _stored(path)
        check_claim(path, shape, _voxel_bytes(kind), stored_bytes=stored, compressed=compressed)
    return claimed


def _check_deflated(path: Path, claimed: int) -> None:
    """Compare the checksum that ends compressed MetaImage voxels; MetaIO does not.

    Raises
    ------
    zlib.error
        When they differ, or more than the `claimed` bytes unfold.
    """
    if formats.suffix(path) != ".mha":
        return
    with path.open("rb") as file:
        fields = [file.readline(4096)]
        while fields[-1] and not fields[-1].lower().startswith(b"elementdatafile"):
            fields.append(file.readline(4096))
        if any(line.lower().split() == [b"compresseddata", b"=", b"true"] for line in fields):
            inflate, unfolded = zlib.decompressobj(), 0
            while (chunk := inflate.unconsumed_tail or file.read(1 << 18)) and not inflate.eof:
                unfolded += len(inflate.decompress(chunk, 1 << 18))
                if unfolded > claimed:
                    raise zlib.error("more voxels than the header describes")


def _voxel_bytes(kind: str) -> int:
    """Bytes of one component, from SimpleITK's own description (``"vector of 16-bit signed integer"``)."""
    bits = next((int(word.removesuffix("-bit")) for word in kind.split() if word.endswith("-bit")), 8)
    return bits // 8


def _stored(path: Path) -> tuple[int, bool]:
    """Bytes that can hold voxels, and whether they are deflated.

    Detached data files (``.nhdr``, ``.mhd``) may be many and named by a pattern: their folder's bytes are the bound.
    """
    with path.open("rb") as file:
        head = file.read(1 << 16).lower()
    fields = head.split(b"\n\n", 1)[0] if formats.suffix(path) in formats.NRRD else head
    compressed = any(
        sign in fields
        for sign in (b"encoding: gz", b"encoding: bz", b"encoding:gz", b"encoding:bz", b"compresseddata = true")
    )
    local = b"data file" not in fields and b"datafile" not in fields.replace(b"elementdatafile = local", b"")
    files = [path] if local else [file for file in path.parent.iterdir() if file.is_file()]
    # Text encodings take more bytes than voxels, never fewer than one per voxel of up to 8 bytes.
    factor = 8 if b"encoding: ascii" in fields or b"encoding: text" in fields or b"binarydata = false" in fields else 1
    return sum(file.stat().st_size for file in files) * factor, compressed


def _affine(image: Any, dimension: int) -> Affine:
    """(i, j, k) to RAS in mm. A picture lies in the plane k = 0, one millimetre thick."""
    rank = min(dimension, 3)
    direction = np.array(image.GetDirection(), dtype=np.float64).reshape(dimension, dimension)[:rank, :rank]
    lps = np.eye(4)
    lps[:rank, :rank] = direction * np.array(image.GetSpacing()[:rank])
    lps[:rank, 3] = image.GetOrigin()[:rank]
    return LPS_TO_RAS @ lps


def _kinds(image: Any) -> str:
    return " ".join(image.GetMetaData(key) for key in image.GetMetaDataKeys() if key.startswith("NRRD_kinds"))


def _contiguous(array: NDArray[np.generic]) -> NDArray[np.generic]:
    return np.ascontiguousarray(array)


def _explained(path: Path, message: str) -> InputError:
    """SimpleITK's exception in a person's words."""
    lower = message.lower()
    if "spacing" in lower or "direction" in lower or "determinant" in lower:
        return GeometryError(
            f"'{path.name}' has no valid position in space.",
            "Its voxel size is zero or not a number, or two of its axes are parallel.",
            "Correct the spacing where the image was made, then export it again.",
            details=message,
        )
    return ReadError(
        f"'{path.name}' cannot be read as an image.",
        "The file is damaged, incomplete or not what its name says.",
        "Copy or export the file again; the transfer may have been interrupted.",
        details=message,
    )
