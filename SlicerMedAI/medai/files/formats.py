"""Which file is of which format, by the end of its name."""

from __future__ import annotations

from pathlib import Path

NIFTI = (".nii", ".nii.gz")
NRRD = (".nrrd", ".nhdr", ".seg.nrrd")
META_IMAGE = (".mha", ".mhd")
PICTURE = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
SEGMENTATION = (".seg.nrrd",)
TABLE = (".csv", ".json")
ARRAY = (".npz", ".npy")
MARKUPS = (".mrk.json",)

READABLE = (*NIFTI, ".nrrd", ".nhdr", *META_IMAGE, *PICTURE)
WRITABLE_VOLUME = (*NIFTI, ".nrrd", ".mha")
WRITABLE_IMAGE = (*SEGMENTATION, *WRITABLE_VOLUME)

# Longest first, so that "scan.seg.nrrd" is a segmentation and "scan.nii.gz" not a ".gz".
_KNOWN = sorted({*READABLE, *WRITABLE_IMAGE, *TABLE, *ARRAY, *MARKUPS, ".dcm", ".ima"}, key=len, reverse=True)


def suffix(path: Path) -> str:
    """The known ending of a file name, lower case (``".nii.gz"``), or the plain last one when none is known."""
    name = path.name.lower()
    return next((ending for ending in _KNOWN if name.endswith(ending)), path.suffix.lower())


def stem(path: Path) -> str:
    """The file name without its known ending: what a person calls the image. Unknown endings stay (``sub-1.v2``)."""
    ending = next((ending for ending in _KNOWN if path.name.lower().endswith(ending)), "")
    return (path.name[: len(path.name) - len(ending)] if ending else path.name) or path.name


def spelled(endings: tuple[str, ...]) -> str:
    """A list for people: ``.nii, .nii.gz or .nrrd``."""
    *others, last = endings
    return f"{', '.join(others)} or {last}" if others else last
