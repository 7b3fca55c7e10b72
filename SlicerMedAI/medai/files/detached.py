"""Headers that keep their voxels in other files: those must lie beside them."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath, PureWindowsPath

from medai.errors import InputError

_FIELD = re.compile(r"^\s*(?:data ?file\s*:|elementdatafile\s*=)\s*(?P<name>.*?)\s*$", re.IGNORECASE)
_HEADER_BYTES = 1 << 16


def check_detached(path: Path) -> None:
    """Refuse a NRRD or MetaImage header that takes its voxels from elsewhere on the computer.

    A header from somebody else could name any file that the person may read, or a device or pipe that never ends.

    Parameters
    ----------
    path : Path
        The file with the header.

    Raises
    ------
    InputError
        When a file it names lies outside of its folder or is no ordinary file.
    """
    for name in _names(path):
        posix, windows = PurePosixPath(name), PureWindowsPath(name)
        outside = posix.is_absolute() or windows.anchor or ".." in windows.parts
        beside = path.parent / name
        if outside or (beside.exists() and not beside.is_file()):
            raise InputError(
                f"'{path.name}' takes its voxels from another place.",
                f"Its header names '{name[:200]}', which is not a file in its own folder.",
                "Put header and data file into one folder, or save the image as one file (.nrrd, .mha, .nii.gz).",
            )


def _names(path: Path) -> list[str]:
    with path.open("rb") as file:
        lines = file.read(_HEADER_BYTES).decode("latin-1").splitlines()
    for number, line in enumerate(lines):
        if not line.strip() and path.suffix.lower() in (".nrrd", ".nhdr"):
            return []  # the end of the header: voxels follow
        field = _FIELD.match(line)
        if field is None:
            continue
        name = field["name"]
        if name.upper() == "LOCAL":
            return []
        if name.upper().split()[:1] == ["LIST"]:
            return [entry.strip() for entry in lines[number + 1 :] if entry.strip()]
        return [name]
    return []
