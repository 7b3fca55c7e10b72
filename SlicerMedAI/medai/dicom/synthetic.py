"""Synthetic images as DICOM, told apart from every patient's in each field that the standard has for it.

Secondary Capture Image Storage, one file per slice (PS3.3 A.8.1): no scanner's storage class, for none took them. Their
Conversion Type is that of a synthetic image (C.8.6.1), Synthetic Data (0008,001C) says yes (C.12.1), the Image Type is
derived and secondary (C.7.6.1.1.2), and the patient is called after what he is: nobody. Where the slices lie is in the
attributes of the Image Plane Module (C.7.6.2).
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medai.dicom.attribution import MANUFACTURER, SYNTHESIZING, UTF_8, equipment, line, software, text
from medai.errors import GeometryError, InputError
from medai.files.folders import make_folder
from medai.files.writing import write_together
from medai.result import Provenance
from medai.volume import SYNTHETIC, Volume

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
PATIENT = "SYNTHETIC^NO PATIENT"
_DERIVED = ["DERIVED", "SECONDARY", "OTHER", "SYNTHETIC"]
_MOST = 2**16 - 1
_SQUARE = 1e-4
"""Largest cosine between rows and columns."""


def write_synthetic(
    volume: Volume, folder: Path, provenance: Provenance, *, study: str | None = None
) -> tuple[Path, ...]:
    """Write a synthetic volume as one DICOM series.

    Parameters
    ----------
    volume : Volume
        (K, J, I), marked as synthetic by its notes. Whole numbers of at most 16 bits are kept; others are scaled to 16
        bits, with Rescale Slope (0028,1053) and Intercept (0028,1052).
    folder : Path
        Made where it is missing; a file per slice, ``0001.dcm`` and so on.
    provenance : Provenance
        Becomes the Derivation Description (0008,2111) and the Contributing Equipment (0018,A001).
    study : str, optional
        StudyInstanceUID (0020,000D) that images of one call share; a new one by default.

    Returns
    -------
    tuple of Path
        The files written.

    Raises
    ------
    InputError
        When the volume is not marked as synthetic, has several channels or voxels that are no numbers.
    GeometryError
        When rows and columns are not perpendicular.
    WriteError
        When the folder or its files cannot be written. Then no new file is left, and what was there still is.
    """
    from pydicom.uid import generate_uid

    if SYNTHETIC not in volume.notes:
        raise InputError(
            f"'{volume.name}' was not written as a synthetic image.",
            "It may show a patient: nothing says that a network made it.",
            "Export images of patients by the means of your archive.",
        )
    if volume.channels != 1 or not np.isfinite(volume.array).all():
        raise InputError(
            f"'{volume.name}' cannot be written as DICOM.",
            "It has several channels, or voxels that are no numbers.",
            "Write it as NRRD, which holds such images.",
        )
    i, j = volume.affine[:3, 0], volume.affine[:3, 1]
    if abs(i @ j) > _SQUARE * np.linalg.norm(i) * np.linalg.norm(j):
        raise GeometryError(
            f"'{volume.name}' cannot be written as DICOM.",
            "Its rows and columns are not perpendicular, which DICOM slices always are.",
            "Write it as NRRD, which holds such images.",
        )
    stored, slope, intercept = _stored(volume.array)
    common = _common(volume, provenance, study or str(generate_uid()))
    common.RescaleSlope, common.RescaleIntercept, common.RescaleType = f"{slope:.10g}", f"{intercept:.10g}", "US"
    make_folder(folder)
    slices = {
        folder / f"{k + 1:04d}.dcm": partial(_save, common=common, volume=volume, k=k, plane=plane)
        for k, plane in enumerate(stored)
    }
    return write_together(next(iter(slices)), slices)


def _save(path: Path, *, common: Any, volume: Volume, k: int, plane: NDArray[np.uint16]) -> None:
    _slice(common, volume, k, plane).save_as(path, enforce_file_format=True)


def _stored(array: NDArray[np.generic]) -> tuple[NDArray[np.uint16], float, float]:
    """Unsigned numbers of 16 bits, and the slope and intercept that lead back."""
    values = array.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if array.dtype.kind in "biu" and high - min(low, 0.0) <= _MOST:
        return (values - min(low, 0.0)).astype(np.uint16), 1.0, min(low, 0.0)
    slope = float(f"{(high - low) / _MOST or 1.0:.10g}")
    intercept = float(f"{low:.10g}")
    return np.clip(np.rint((values - intercept) / slope), 0, _MOST).astype(np.uint16), slope, intercept


def _common(volume: Volume, provenance: Provenance, study: str) -> Any:
    """What all slices share."""
    from pydicom.dataset import Dataset
    from pydicom.uid import generate_uid

    now = datetime.now()
    found = Dataset()
    found.SpecificCharacterSet = UTF_8
    found.SOPClassUID = SECONDARY_CAPTURE
    found.SyntheticData = "YES"
    found.ImageType = _DERIVED
    found.ConversionType = "SYN"
    found.Modality = volume.modality or "OT"
    found.PatientName, found.PatientID = PATIENT, "SYNTHETIC"
    found.PatientBirthDate, found.PatientSex = "", ""
    found.PatientComments = SYNTHETIC
    found.StudyInstanceUID, found.SeriesInstanceUID = study, generate_uid()
    found.FrameOfReferenceUID, found.PositionReferenceIndicator = generate_uid(), ""
    found.StudyID, found.AccessionNumber, found.ReferringPhysicianName = "", "", ""
    found.StudyDescription, found.SeriesDescription = "SYNTHETIC", line(volume.name)
    found.SeriesNumber = 1
    found.StudyDate = found.SeriesDate = found.ContentDate = now.strftime("%Y%m%d")
    found.StudyTime = found.SeriesTime = found.ContentTime = now.strftime("%H%M%S")
    found.ImageComments = SYNTHETIC
    made = "; ".join(f"{name}: {value}" for name, value in provenance.parameters.items())
    source = f"the model {provenance.bundle} {provenance.version}".rstrip()
    found.DerivationDescription = text(f"{SYNTHETIC} Made by {source} ({made}).")
    found.BurnedInAnnotation, found.RecognizableVisualFeatures = "NO", "NO"
    found.LossyImageCompression = "00"
    found.Manufacturer, found.ManufacturerModelName = MANUFACTURER, line(provenance.bundle)
    found.SoftwareVersions = software(provenance)
    did = "A generative network made the whole image."
    found.ContributingEquipmentSequence = [equipment(provenance, SYNTHESIZING, did)]
    found.SamplesPerPixel, found.PhotometricInterpretation = 1, "MONOCHROME2"
    found.BitsAllocated, found.BitsStored, found.HighBit, found.PixelRepresentation = 16, 16, 15, 0
    return found


def _slice(common: Any, volume: Volume, k: int, plane: NDArray[np.uint16]) -> Any:
    from copy import deepcopy

    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    found = deepcopy(common)
    found.SOPInstanceUID, found.InstanceNumber = generate_uid(), k + 1
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found.file_meta.MediaStorageSOPClassUID = found.SOPClassUID
    found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine
    i, j, thickness = volume.spacing
    found.ImageOrientationPatient = [f"{value:.10g}" for value in (*(lps[:3, 0] / i), *(lps[:3, 1] / j))]
    found.ImagePositionPatient = [f"{value:.10g}" for value in lps[:3, 3] + k * lps[:3, 2]]
    found.PixelSpacing = [f"{j:.10g}", f"{i:.10g}"]
    found.SliceThickness = f"{thickness:.10g}"
    found.Rows, found.Columns = plane.shape
    found.PixelData = plane.astype("<u2").tobytes()
    return found
