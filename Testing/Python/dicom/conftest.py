"""DICOM files as scanners write them, made with pydicom for each test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
MR, ENHANCED_MR, CT = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.2"

Written = list[Path]


@pytest.fixture
def shared_data() -> Path:
    if not (SHARED / "dicom").is_dir():
        pytest.skip("the shared data are not here")
    return SHARED


def empty_image(array: np.ndarray, kind: str = MR) -> Dataset:
    """A data set with everything but its place."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = kind
    dataset.SOPClassUID, dataset.SOPInstanceUID = kind, generate_uid()
    dataset.PatientID, dataset.StudyInstanceUID = "test", "1.2.3"
    dataset.Modality = "CT" if kind == CT else "MR"
    dataset.Rows, dataset.Columns = array.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = array.dtype.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(array.dtype.kind == "i")
    dataset.PixelData = array.tobytes()
    return dataset


@pytest.fixture
def write_series(tmp_path) -> Callable[..., Written]:
    """Writes one file per slice; `change(n, dataset)` spoils or adds what a test is about."""

    def write(
        array: np.ndarray,
        *,
        folder: str = "series",
        uid: str = "1.2.3.4",
        axes: tuple[float, ...] = (1, 0, 0, 0, 1, 0),
        step: tuple[float, float, float] = (0, 0, 3),
        origin: tuple[float, float, float] = (-10, -20, -30),
        spacing: tuple[float, float] = (0.8, 0.5),
        kind: str = MR,
        change: Callable[[int, Dataset], None] | None = None,
    ) -> Written:
        (tmp_path / folder).mkdir(exist_ok=True)
        written = []
        # Names and instance numbers say nothing about places, as with some archives.
        for place, n in enumerate(np.random.default_rng(1).permutation(len(array))):
            dataset = empty_image(array[n], kind)
            dataset.SeriesInstanceUID, dataset.SeriesNumber, dataset.SeriesDescription = uid, 7, "T1 test"
            dataset.InstanceNumber = place + 1
            dataset.ImageOrientationPatient = list(axes)
            dataset.ImagePositionPatient = [round(float(v), 6) for v in np.add(origin, np.multiply(step, n))]
            dataset.PixelSpacing = list(spacing)
            dataset.SliceThickness = 3
            if change is not None:
                change(int(n), dataset)
            path = tmp_path / folder / f"IM{place:04d}"
            pydicom.dcmwrite(path, dataset, enforce_file_format=True)
            written.append(path)
        return written

    return write


@pytest.fixture
def write_enhanced(tmp_path) -> Callable[..., Path]:
    """Writes frames into one enhanced multi-frame file; frames are (position along z, time index) pairs."""

    def write(array: np.ndarray, places: list[tuple[float, int]], slopes: list[float]) -> Path:
        dataset = empty_image(array, ENHANCED_MR)
        dataset.SeriesInstanceUID, dataset.NumberOfFrames = "1.2.3.5", len(array)
        dataset.InstanceNumber = 1
        measures, plane = Dataset(), Dataset()
        measures.PixelSpacing, measures.SpacingBetweenSlices = [0.8, 0.5], 3
        plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        shared = Dataset()
        shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([measures]), Sequence([plane])
        dataset.SharedFunctionalGroupsSequence = Sequence([shared])
        groups = []
        for (z, time), slope in zip(places, slopes, strict=True):
            position, content, values, group = Dataset(), Dataset(), Dataset(), Dataset()
            position.ImagePositionPatient = [-10, -20, z]
            content.TemporalPositionIndex = time + 1
            content.FrameAcquisitionDateTime = f"20200101120000.{time}00000"
            values.RescaleSlope, values.RescaleIntercept = slope, 0
            group.PlanePositionSequence = Sequence([position])
            group.FrameContentSequence = Sequence([content])
            group.PixelValueTransformationSequence = Sequence([values])
            groups.append(group)
        dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
        pydicom.dcmwrite(tmp_path / "enhanced.dcm", dataset, enforce_file_format=True)
        return tmp_path / "enhanced.dcm"

    return write


@pytest.fixture
def some_slices() -> np.ndarray:
    return np.arange(6 * 4 * 5, dtype=np.int16).reshape(6, 4, 5) - 50
