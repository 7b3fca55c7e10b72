"""When a DICOM image was acquired."""

from __future__ import annotations

from datetime import date
from typing import Any

from medai.errors import InputError
from medai.visits import as_date

# The first that can be read counts: what the scanner wrote, then what was set for the whole series and the visit.
TAGS = ("AcquisitionDate", "AcquisitionDateTime", "ContentDate", "SeriesDate", "StudyDate")


def acquired(header: Any) -> date | None:
    """Day of acquisition: AcquisitionDate (0008,0022) or AcquisitionDateTime (0008,002A), else ContentDate (0008,0023),
    SeriesDate (0008,0021) or StudyDate (0008,0020). None when none can be read: removed, or altered beyond use.

    Parameters
    ----------
    header : pydicom Dataset, or any mapping of DICOM keywords to text
    """
    for tag in TAGS:
        text = str(header.get(tag) or "").strip()
        try:
            if text:
                return as_date(text[:8] if text[:8].isdecimal() else text)
        except InputError:
            continue
    return None
