"""Images from files into `Volume` and `Series`, results into files: NIfTI, NRRD, MetaImage, DICOM, plain pictures.

Nothing here imports torch, slicer or vtk; the format libraries are imported when a file of theirs is touched.
"""

from __future__ import annotations

from medai.files.reading import read
from medai.files.writing import check_target, write

__all__ = ["check_target", "read", "write"]
