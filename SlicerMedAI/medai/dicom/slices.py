"""Where every slice of a DICOM file lies, whether the file holds one, a mosaic of them, or many frames."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medai.errors import GeometryError, InputError

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Slice:
    """One 2D image of a file.

    Parameters
    ----------
    path, frame : Path, int
        Where its pixels are; frames count from 0.
    rows, columns : int
        Its size in pixels.
    spacing : tuple of float
        Millimetres between columns (along i) and between rows (along j).
    thickness : float
        Millimetres to the next slice where the header tells (SpacingBetweenSlices, SliceThickness), else 0.
    position : ndarray, shape (3,), or None
        Centre of the first pixel, LPS mm (ImagePositionPatient).
    axes : ndarray, shape (2, 3), or None
        Unit vectors along i and j, LPS (ImageOrientationPatient).
    slope, intercept : float
        From stored to real values.
    origin : tuple of int
        Row and column of its first pixel in the stored frame; other than (0, 0) in mosaics only.
    time : float or None
        Seconds on the scanner's clock.
    order : tuple
        Sorts slices that lie at the same place.
    """

    path: Path
    frame: int
    rows: int
    columns: int
    spacing: tuple[float, float]
    thickness: float
    position: Vector | None
    axes: Vector | None
    slope: float
    intercept: float
    origin: tuple[int, int]
    time: float | None
    order: tuple[object, ...]


def slices_of(path: Path, header: Any) -> list[Slice]:
    """Every slice of one file.

    Raises
    ------
    InputError
        When the file places its frames in a way that is not known here.
    GeometryError
        When a position or orientation is not a number.
    """
    try:
        return list(_slices(path, header))
    except (ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        raise GeometryError(
            f"The DICOM file '{path.name}' does not say where it lies in the patient.",
            "Its position, orientation or pixel spacing is incomplete.",
            "Export the series again from the scanner or archive.",
            details=repr(error),
        ) from error


def _slices(path: Path, header: Any) -> Iterator[Slice]:
    if header.get("PerFrameFunctionalGroupsSequence"):
        yield from _enhanced(path, header)
    elif int(header.get("NumberOfFrames") or 1) > 1:
        if header.get("Modality") in ("NM", "PT"):
            raise InputError(
                f"The DICOM file '{path.name}' cannot be used directly.",
                "It holds nuclear medicine frames, whose order only their viewer knows.",
                "Load it into Slicer, save it as NRRD or NIfTI, and use that file.",
            )
        plain = _plain(path, header)
        step = float(header.get("FrameTime") or 0) / 1000
        for frame in range(int(header.NumberOfFrames)):
            yield _with(plain, frame=frame, time=frame * step if step > 0 else None, order=(frame,))
    elif "MOSAIC" in header.get("ImageType", []):
        yield from _mosaic(path, header)
    else:
        yield _plain(path, header)


def _plain(path: Path, header: Any) -> Slice:
    return Slice(
        path=path,
        frame=0,
        rows=int(header.Rows),
        columns=int(header.Columns),
        spacing=_spacing(header),
        thickness=_number(header, "SpacingBetweenSlices") or _number(header, "SliceThickness"),
        position=_vector(header.get("ImagePositionPatient"), 3),
        axes=_axes(header.get("ImageOrientationPatient")),
        slope=_number(header, "RescaleSlope", 1.0),
        intercept=_number(header, "RescaleIntercept"),
        origin=(0, 0),
        time=_clock(header.get("AcquisitionDateTime"), header.get("AcquisitionTime") or header.get("ContentTime")),
        order=(
            _kind(header.get("ImageType", [])),
            _number(header, "EchoTime"),
            _number(header, "TemporalPositionIdentifier"),
            _number(header, "AcquisitionNumber"),
            _number(header, "TriggerTime"),
            _number(header, "InstanceNumber"),
        ),
    )


def _enhanced(path: Path, header: Any) -> Iterator[Slice]:
    """Frames of an enhanced multi-frame object (DICOM PS3.3 C.7.6.16)."""
    shared = (header.get("SharedFunctionalGroupsSequence") or [{}])[0]
    for number, own in enumerate(header.PerFrameFunctionalGroupsSequence):

        def group(name: str, own: Any = own) -> Any:
            return (own.get(name) or shared.get(name) or [{}])[0]

        measures, values, content = (
            group("PixelMeasuresSequence"),
            group("PixelValueTransformationSequence"),
            group("FrameContentSequence"),
        )
        kind = group("MRImageFrameTypeSequence") or group("CTImageFrameTypeSequence")
        yield Slice(
            path=path,
            frame=number,
            rows=int(header.Rows),
            columns=int(header.Columns),
            spacing=_spacing(measures),
            thickness=_number(measures, "SpacingBetweenSlices") or _number(measures, "SliceThickness"),
            position=_vector(group("PlanePositionSequence").get("ImagePositionPatient"), 3),
            axes=_axes(group("PlaneOrientationSequence").get("ImageOrientationPatient")),
            slope=_number(values, "RescaleSlope", 1.0),
            intercept=_number(values, "RescaleIntercept"),
            origin=(0, 0),
            time=_clock(content.get("FrameAcquisitionDateTime"), None),
            order=(
                _kind(kind.get("FrameType", [])),
                _number(group("MREchoSequence"), "EffectiveEchoTime"),
                _number(content, "TemporalPositionIndex"),
                _number(content, "FrameAcquisitionNumber"),
                _number(header, "InstanceNumber"),
                number,
            ),
        )


def _mosaic(path: Path, header: Any) -> Iterator[Slice]:
    """Slices of a Siemens mosaic: tiles of one large picture, whose own position is that of the picture's corner."""
    plain = _plain(path, header)
    private = _siemens(header)
    if private is None or plain.position is None or plain.axes is None or not plain.thickness:
        raise InputError(
            f"The DICOM file '{path.name}' cannot be used.",
            "It is a Siemens mosaic, and the private part of its header that tells its slices apart is missing.",
            "Export the series again without removing private tags, or as separate slices.",
        )
    count, normal = private
    tiles = int(np.ceil(np.sqrt(count)))
    rows, columns = plain.rows // tiles, plain.columns // tiles
    offset = np.array([(plain.columns - columns) / 2, (plain.rows - rows) / 2]) * plain.spacing
    first = plain.position + offset @ plain.axes
    for n in range(count):
        yield _with(
            plain,
            rows=rows,
            columns=columns,
            origin=(n // tiles * rows, n % tiles * columns),
            position=first + n * plain.thickness * normal,
        )


def _siemens(header: Any) -> tuple[int, Vector] | None:
    """Number of slices of a mosaic and the direction from one to the next; None when they are not told."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # nibabel calls its DICOM side experimental on every import
        from nibabel.nicom import csareader

    try:
        csa = csareader.get_csa_header(header, "image")
        count, normal = (csareader.get_n_mosaic(csa), csareader.get_slice_normal(csa)) if csa else (None, None)
    except (csareader.CSAError, ValueError, AssertionError, struct.error):  # cut or altered by an archive
        return None
    return (int(count), np.asarray(normal, dtype=np.float64)) if count and normal is not None else None


def _with(plain: Slice, **changes: Any) -> Slice:
    from dataclasses import replace

    return replace(plain, **changes)


def _spacing(header: Any) -> tuple[float, float]:
    """Millimetres along i and j. Pictures without a scale get one pixel per millimetre."""
    for name in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        value = _vector(header.get(name), 2)
        if value is not None:
            return float(value[1]), float(value[0])  # DICOM gives the distance between rows first
    regions = header.get("SequenceOfUltrasoundRegions")
    if regions and int(regions[0].get("PhysicalUnitsXDirection", 0)) == 3:  # 3 is centimetres
        return abs(float(regions[0].PhysicalDeltaX)) * 10, abs(float(regions[0].PhysicalDeltaY)) * 10
    return 1.0, 1.0


def _number(header: Any, name: str, default: float = 0.0) -> float:
    value = header.get(name)
    return default if value is None or value == "" else float(value)


def _vector(value: Any, length: int) -> Vector | None:
    if value is None or len(value) == 0:
        return None
    vector = np.array([float(v) for v in value], dtype=np.float64)
    if vector.shape != (length,) or not np.isfinite(vector).all():
        raise ValueError(f"{value} is not {length} numbers")
    return vector


def _axes(value: Any) -> Vector | None:
    vector = _vector(value, 6)
    if vector is None:
        return None
    axes = vector.reshape(2, 3)
    if not np.allclose(axes @ axes.T, np.eye(2), atol=1e-2):
        raise ValueError(f"{value} are not two perpendicular unit vectors")
    return axes


def _kind(values: Any) -> tuple[bool, str]:
    """Sorts magnitude images before phase images, maps and the like, which share their positions."""
    magnitude = any(value == "M" or str(value).startswith("M_") for value in values)
    return not magnitude, "\\".join(str(value) for value in values)


def _clock(moment: Any, time_of_day: Any) -> float | None:
    """Seconds from a DICOM date-time (DT) or time (TM) value."""
    from pydicom.valuerep import DT, TM

    try:
        if moment:
            value = DT(str(moment))
            return None if value is None else value.replace(tzinfo=timezone.utc).timestamp()
        if time_of_day:
            clock = TM(str(time_of_day))
            if clock is not None:
                return datetime.combine(datetime(1970, 1, 1), clock, timezone.utc).timestamp()
    except ValueError:
        pass  # a malformed time only costs the frames' index
    return None
