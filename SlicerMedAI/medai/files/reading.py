"""One way in: whatever file or folder a person names becomes a `Volume` or a `Series`."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from medai.errors import InputError, MedAIError, ReadError
from medai.files import formats
from medai.volume import Series, Volume


def read(path: str | os.PathLike[str], series: str | int | None = None) -> Volume | Series:
    """Read an image.

    Parameters
    ----------
    path : path
        A NIfTI (``.nii``, ``.nii.gz``), NRRD (``.nrrd``, ``.nhdr``), MetaImage (``.mha``, ``.mhd``), PNG, JPEG or TIFF
        file, a DICOM file, or a folder with DICOM files.
    series : str or int, optional
        Which series of a DICOM folder: its number in the folder's list, SeriesInstanceUID or description. Needed only
        when the folder holds several.

    Returns
    -------
    Volume or Series
        A `Series` when the file or folder holds several frames. Voxels keep the dtype they are stored in unless the
        file scales them by a real number (then float32); the affine maps (i, j, k) to RAS mm, for NIfTI the very matrix
        MONAI works with.

    Raises
    ------
    ReadError
        When the file is missing, unreadable, damaged or of an unknown format.
    GeometryError
        When its grid or position in space makes no sense (zero spacing, a missing DICOM slice).
    InputError
        When it is readable but cannot be used: complex numbers, several series to choose from, larger than memory.
    DependencyError
        When DICOM pixels are compressed in a way that no installed package decodes.
    """
    source = Path(path)
    _check_name(source)
    try:
        if source.is_dir():
            return _read_dicom(source, series)
        return _read_file(source, series)
    except MedAIError:
        raise
    except MemoryError as error:
        raise InputError(
            f"'{source.name}' is too large for this computer.",
            "There was not enough memory to read it.",
            "Close other programs, crop the image, or use a computer with more memory.",
        ) from error
    except OSError as error:
        raise _from_os(source, error) from error


def _check_name(path: Path) -> None:
    """Refuse a name that is no text: the native readers would end the whole process."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise ReadError(
            f"'{path.name}' cannot be opened.",
            "Its name, or that of its folder, is not written in this computer's letters.",
            "Rename it; it may have come out of an archive of another computer.",
        ) from error


def _read_file(path: Path, series: str | int | None) -> Volume | Series:
    if path.exists() and not path.is_file():
        raise ReadError(
            f"'{path.name}' is no ordinary file.",
            "It is a device, or a channel between programs, which may never end.",
            "Save the image to a file first.",
        )
    with path.open("rb") as file:  # raises what is wrong with the file before any format library guesses
        start = file.read(132)
    if not start:
        raise ReadError(f"'{path.name}' is empty.", "The file has zero bytes.", "Copy or export the file again.")
    ending = formats.suffix(path)
    if start[128:] == b"DICM":
        return _read_dicom(path, series)
    if series is not None:
        raise InputError(
            f"'{path.name}' has no series to choose from.",
            "Only DICOM folders hold several series.",
            "Leave the series out.",
        )
    if ending in formats.NIFTI:
        from medai.files.nifti import read_nifti

        return read_nifti(path)
    if ending in (*formats.NRRD, *formats.META_IMAGE, *formats.PICTURE):
        from medai.files.itk import read_with_itk

        return read_with_itk(path)
    if ending in (".dcm", ".ima", ".img", ""):
        return _read_dicom(path, series)  # old files lack the DICM mark
    raise ReadError(
        f"'{path.name}' is of a format that is not known here.",
        f"Its name ends in '{ending}'.",
        f"Use a DICOM folder or a file ending in {formats.spelled(formats.READABLE)}.",
    )


def _read_dicom(path: Path, series: str | int | None) -> Volume | Series:
    from medai.dicom import read_dicom

    return read_dicom(path, series)


def _from_os(path: Path, error: OSError) -> ReadError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return ReadError(
            f"'{path}' was not found.", "There is no such file or folder.", "Check the name and where the file is."
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return ReadError(
            f"'{path.name}' cannot be opened.",
            "You have no permission to read it.",
            "Ask the owner of the file for permission, or copy it to a folder of your own.",
        )
    return ReadError(
        f"'{path.name}' cannot be read.",
        f"The computer reports: {error.strerror or error}.",
        "Check that the disk or network drive is connected, then try again.",
        details=repr(error),
    )
