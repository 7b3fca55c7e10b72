"""DICOM series into `Volume` and `Series` by pydicom; compressed pixels by pydicom's decoders, then by SimpleITK's.

Synthetic volumes, and only these, are written too.
"""

from __future__ import annotations

from medai.dicom.reading import read_dicom
from medai.dicom.series import DicomSeries, choose_series, list_series
from medai.dicom.synthetic import write_synthetic

__all__ = ["DicomSeries", "choose_series", "list_series", "read_dicom", "write_synthetic"]
