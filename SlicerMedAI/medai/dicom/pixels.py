"""Stored pixel values of a DICOM file, whatever they are compressed with."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medai.errors import DependencyError, InputError, ReadError

_HINTS = {"HTJ2K": "pylibjpeg-openjpeg", "High-Throughput": "pylibjpeg-openjpeg"}
_KEPT = [
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "NumberOfFrames",
    "PixelData",
]


def frames_of(path: Path, dataset: Any) -> NDArray[np.generic]:
    """Pixels as they are stored (no slope, no window), shape (F, rows, columns) or (F, rows, columns, C).

    Raises
    ------
    DependencyError
        When no installed package decodes the compression.
    ReadError
        When there are fewer pixels than the header says.
    InputError
        When the file is a video.
    """
    if not hasattr(dataset, "file_meta") or "TransferSyntaxUID" not in dataset.file_meta:
        # Files without a meta header are uncompressed; the data set knows how it was read.
        dataset.file_meta = _meta(dataset)
    syntax = dataset.file_meta.TransferSyntaxUID
    if any(word in syntax.name for word in ("MPEG", "HEVC")):
        raise InputError(
            f"The DICOM file '{path.name}' is a video.",
            f"Its pixels are stored as {syntax.name}.",
            "Export it as single images.",
        )
    if "PixelData" not in dataset:
        raise _damaged(path, "no PixelData")
    try:
        array = _by_pydicom(dataset)
    except MemoryError:
        raise
    except Exception as error:
        if not _compressed(syntax):
            raise _damaged(path, repr(error)) from error
        array = _by_gdcm(path, dataset, error)
    count, rows, columns = int(dataset.get("NumberOfFrames") or 1), int(dataset.Rows), int(dataset.Columns)
    palette = dataset.get("PhotometricInterpretation") == "PALETTE COLOR"
    samples = array.shape[-1] if palette else int(dataset.get("SamplesPerPixel") or 1)
    shape = (count, rows, columns) if samples == 1 else (count, rows, columns, samples)
    if array.size != math.prod(shape):
        raise _damaged(path, f"{array.shape} pixels instead of {shape}")
    return array.reshape(shape)


def _by_pydicom(dataset: Any) -> NDArray[np.generic]:
    from pydicom.pixels import apply_color_lut

    array: NDArray[np.generic] = dataset.pixel_array
    if dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
        array = apply_color_lut(array, dataset)
    return array


def _by_gdcm(path: Path, dataset: Any, reason: Exception) -> NDArray[np.generic]:
    """Decode with the GDCM inside SimpleITK.

    It gets a bare copy: with the header's slope or frame groups it would scale values by rules of its own.
    """
    import pydicom
    import SimpleITK as sitk

    bare = pydicom.Dataset()
    for name in _KEPT:
        if name in dataset:
            bare[name] = dataset[name]
    bare.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"  # Secondary Capture
    bare.SOPInstanceUID = pydicom.uid.generate_uid()
    bare.file_meta = pydicom.dataset.FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    with tempfile.TemporaryDirectory(prefix="medai-") as folder:
        copy = Path(folder) / "frames.dcm"
        try:
            pydicom.dcmwrite(copy, bare, enforce_file_format=True)
            return np.asarray(sitk.GetArrayFromImage(sitk.ReadImage(str(copy), imageIO="GDCMImageIO")))
        except (RuntimeError, ValueError) as error:  # ValueError: a compression that this pydicom has not heard of
            raise _undecodable(path, dataset.file_meta.TransferSyntaxUID, reason, error) from error


def _undecodable(path: Path, syntax: Any, *reasons: Exception) -> Exception:
    details = "\n".join(repr(reason) for reason in reasons)
    from pydicom.pixels import get_decoder

    try:
        decoder = get_decoder(syntax)
        available = decoder.is_available
    except NotImplementedError:
        available = False
    if available or syntax.name.startswith(("JPEG Baseline", "JPEG Extended", "JPEG Lossless", "JPEG 2000", "RLE")):
        return _damaged(path, details)  # a decoder for it is there, so the data are at fault
    package = next((package for word, package in _HINTS.items() if word in syntax.name), "pylibjpeg[all]")
    return DependencyError(
        f"The pixels of the DICOM file '{path.name}' cannot be decompressed.",
        f"They are compressed as '{syntax.name}', and no decoder for it is installed.",
        f"Install the Python package {package} (or python-gdcm), or export the series uncompressed.",
        details=details,
    )


def _compressed(syntax: Any) -> bool:
    try:
        return bool(syntax.is_compressed)
    except ValueError:  # newer than this pydicom, and every newer one is a compression
        return True


def _meta(dataset: Any) -> Any:
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    meta = FileMetaDataset()
    implicit, little = dataset.original_encoding
    meta.TransferSyntaxUID = (
        ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    )
    return meta


def _damaged(path: Path, details: str) -> ReadError:
    return ReadError(
        f"The DICOM file '{path.name}' is damaged.",
        "It holds fewer pixels than its header says.",
        "Export the series again; the transfer may have been interrupted.",
        details=details,
    )
