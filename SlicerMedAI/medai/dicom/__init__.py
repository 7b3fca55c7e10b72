"""DICOM series into `Volume` and `Series` by pydicom; compressed pixels by pydicom's decoders, then by SimpleITK's.

Synthetic volumes, and no others, are written too; segments of any series are, as DICOM segmentations by highdicom.
"""

from __future__ import annotations

from medai.dicom.reading import read_dicom
from medai.dicom.segmentation import write_segmentation
from medai.dicom.series import DicomSeries, choose_series, list_series
from medai.dicom.synthetic import write_synthetic

__all__ = ["DicomSeries", "choose_series", "list_series", "read_dicom", "write_segmentation", "write_synthetic"]
