"""Which DICOM series lie in a folder, from headers only."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from medai.dicom.dates import TAGS, acquired
from medai.dicom.deflated import check_deflated
from medai.errors import InputError, ReadError

# Objects with pixels that are no images of the patient, or that are placed by rules of their own.
_NO_IMAGE = {"SEG", "RTDOSE", "RTSTRUCT", "RTPLAN", "SR", "PR", "KO", "DOC", "REG"}
_TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesDescription",
    "ProtocolName",
    "SeriesNumber",
    "Modality",
    "Rows",
    "Columns",
    "NumberOfFrames",
    *TAGS,
    "SyntheticData",
]


@dataclass(frozen=True)
class DicomSeries:
    """One series of a folder.

    Parameters
    ----------
    uid : str
        SeriesInstanceUID (0020,000E).
    description : str
        SeriesDescription (0008,103E), else ProtocolName (0018,1030).
    number : int or None
        SeriesNumber (0020,0011).
    modality : str
        Modality (0008,0060).
    shape : tuple of int
        Images (files times frames), rows and columns of the first.
    files : tuple of Path
        In the order of their names.
    date : datetime.date or None
        Day of acquisition of its first image, see `medai.dicom.dates`.
    study : str
        StudyInstanceUID (0020,000D).
    synthetic : bool
        Whether Synthetic Data (0008,001C) says that no patient is shown.
    """

    uid: str
    description: str
    number: int | None
    modality: str
    shape: tuple[int, int, int]
    files: tuple[Path, ...]
    date: date | None = None
    study: str = ""
    synthetic: bool = False

    def __str__(self) -> str:
        images, rows, columns = self.shape
        kind = f"{self.modality}, " if self.modality else ""
        return f"{self.description or 'no description'} ({kind}{images} images of {columns}x{rows}, {self.uid})"


def list_series(path: Path) -> tuple[DicomSeries, ...]:
    """Image series in a folder and its subfolders (or of one file), sorted by series number, then description.

    Reports, structure sets, presentation states and files that are not DICOM are left out.

    Raises
    ------
    ReadError
        When a DICOM image file is damaged: left out, it would be a hole in the patient.
    """
    found: dict[str, list[tuple[Path, Any]]] = {}
    seen: set[str] = set()
    for file in [path] if path.is_file() else _files(path):
        header = _header(file)
        identity = str(header.get("SOPInstanceUID", file)) if header is not None else ""
        if header is not None and identity not in seen:  # archives like to hold every image twice
            seen.add(identity)
            found.setdefault(str(header.get("SeriesInstanceUID", "")), []).append((file, header))
    series = [_summary(uid, members) for uid, members in found.items()]
    return tuple(sorted(series, key=lambda s: (s.number is None, s.number or 0, s.description, s.uid)))


def choose_series(path: Path, series: str | int | None) -> DicomSeries:
    """The series a person means.

    Parameters
    ----------
    series : str, int or None
        Number in the list (1 for the first), SeriesInstanceUID or description; None when there is one only.

    Raises
    ------
    InputError
        When there are several and none, or none of that name, was chosen; the message lists them.
    ReadError
        When there is no image at all.
    """
    found = list_series(path)
    if not found:
        raise ReadError(
            f"'{path.name}' holds no DICOM image.",
            "No file in it is a DICOM image." if path.is_dir() else "The file is no image or of an unknown format.",
            "Choose the folder that the scanner or archive exported, or a NIfTI, NRRD or MetaImage file.",
        )
    if series is None and len(found) == 1:
        return found[0]
    listing = "\n".join(f"  {number}: {entry}" for number, entry in enumerate(found, start=1))
    if series is None:
        raise InputError(
            f"'{path.name}' holds {len(found)} series.",
            "It is not clear which one is meant.",
            f"Choose one by its number, description or UID (--series on the command line):\n{listing}",
        )
    wanted = str(series).strip()
    matches = [s for s in found if s.uid == wanted] or [s for s in found if s.description.lower() == wanted.lower()]
    if not matches and wanted.isdecimal() and 1 <= int(wanted) <= len(found):
        matches = [found[int(wanted) - 1]]
    if len(matches) == 1:
        return matches[0]
    raise InputError(
        f"'{path.name}' holds {'several series' if matches else 'no series'} '{wanted}'.",
        f"{len(matches) or 'None'} of its {len(found)} series {'match' if matches else 'matches'}.",
        f"Choose one by its number or UID:\n{listing}",
    )


def _files(folder: Path) -> list[Path]:
    """Every file below `folder`, hidden ones left out, in the order of their names."""
    found: list[Path] = []
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files = [Path(where) / name for name in sorted(names) if not name.startswith(".")]
        found += [file for file in files if file.is_file()]  # a pipe or device would be read for ever
    return found


def _header(file: Path) -> Any | None:
    """What is needed of an image's header; None for what is no DICOM image."""
    import pydicom

    with file.open("rb") as stream:
        start = stream.read(132)
    marked = start[128:] == b"DICM"
    if not marked and not _like_dicom(start):
        return None
    check_deflated(file)
    try:
        header = pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=_TAGS)
        kind = header.get("SOPClassUID") or getattr(header, "file_meta", {}).get("MediaStorageSOPClassUID")
        image = "Rows" in header and "Columns" in header and "SOPClassUID" in header
        unusable = header.get("Modality", "") in _NO_IMAGE
    except (OSError, MemoryError):
        raise
    except Exception as error:
        if not marked:
            return None
        raise _damaged(file, repr(error)) from error
    if image and not unusable:
        return header
    if marked and not unusable and (kind is None or "Image Storage" in kind.name):
        raise _damaged(file, "the header ends before Rows and Columns")
    return None


def _like_dicom(start: bytes) -> bool:
    """Whether a file without the DICM mark begins as data sets of the 1990s do: with a short group 0002 or 0008."""
    return len(start) > 8 and start[:2] in (b"\x08\x00", b"\x02\x00") and start[3] == 0


def _damaged(file: Path, details: str) -> ReadError:
    return ReadError(
        f"The DICOM file '{file.name}' is damaged.",
        "It ends before its header is complete.",
        "Export the series again; without this file a slice would be missing.",
        details=details,
    )


def _summary(uid: str, members: list[tuple[Path, Any]]) -> DicomSeries:
    first = members[0][1]
    images = sum(int(header.get("NumberOfFrames") or 1) for _, header in members)
    number = first.get("SeriesNumber")
    days = [day for day in (acquired(header) for _, header in members) if day]  # of a night, the evening's
    return DicomSeries(
        uid=uid,
        description=str(first.get("SeriesDescription") or first.get("ProtocolName") or "").strip(),
        number=None if number is None else int(number),
        modality=str(first.get("Modality") or ""),
        shape=(images, int(first.Rows), int(first.Columns)),
        files=tuple(file for file, _ in members),
        date=min(days, default=None),
        study=str(first.get("StudyInstanceUID") or ""),
        synthetic=any(header.get("SyntheticData") == "YES" for _, header in members),
    )
