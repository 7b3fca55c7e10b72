"""Text headers of NRRD and MetaImage files, looked through before native code parses them.

The parsers behind SimpleITK (Teem, MetaIO) open whatever file a header names, and write beyond their buffers where a
line or a number is far longer than any program makes it. So a file from somebody else is read here first.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath, PureWindowsPath

from medai.errors import InputError, ReadError
from medai.files import formats

_MOST_BYTES = 1 << 22
_LONGEST_FIELD = 800  # Teem's buffers hold 1024
_MOST_FIELDS = 20_000  # Teem takes seconds for as many, and four times as long for twice as many
_NRRD_END = re.compile(rb"\n\r?\n")
_NRRD_DATA = re.compile(r"\s*data ?file\s*:(?P<name>.*)", re.IGNORECASE)
_NRRD_KEY = re.compile(r"[^:]*:=")
# MetaIO takes either sign after a name, and skips what stands before it.
_META_DATA = re.compile(r"\s*elementdatafile\b[^=:]*[=:]?(?P<name>.*)", re.IGNORECASE)
_META_END = re.compile(r"\s*ElementDataFile\s*[=:]")
_META_DIMENSIONS = re.compile(r"\s*ndims\b(?!\s*[=:]\s*[1-9]\s*$)", re.IGNORECASE)
_NUMBERED = re.compile(r"[^%]*(%0?\d?d[^%]*)?")


def check_header(path: Path) -> None:
    """Refuse a NRRD or MetaImage header that no program writes, or that takes its voxels from elsewhere.

    A header from somebody else could name any file that the person may read, or a device or pipe that never ends.

    Parameters
    ----------
    path : Path
        The file; of any other format it is left to its own reader.

    Raises
    ------
    ReadError
        When it has no end, or a line that its parser cannot hold.
    InputError
        When a file it names lies outside of its folder or is no ordinary file.
    """
    if formats.suffix(path) not in (*formats.NRRD, *formats.META_IMAGE):
        return
    nrrd = formats.suffix(path) in formats.NRRD
    lines = _nrrd_lines(path) if nrrd else _meta_lines(path)
    field = _NRRD_DATA if nrrd else _META_DATA
    for number, line in enumerate(lines):
        found = field.match(line)
        if found is None:
            continue
        name = found["name"].strip()
        listed = name.upper().split()[:1] == ["LIST"]
        for each in lines[number + 1 :] if listed else [name]:
            _check_name(path, each.strip())


def _nrrd_lines(path: Path) -> list[str]:
    with path.open("rb") as file:
        head = file.read(_MOST_BYTES)
    end = _NRRD_END.search(head)
    if end is None and len(head) == _MOST_BYTES:
        raise _damaged(path)
    listed = path.suffix.lower() == ".nhdr"  # names of files may follow the header
    lines = _lines(head if listed or end is None else head[: end.start()])
    if len(lines) > _MOST_FIELDS or any(len(line) > _LONGEST_FIELD and not _NRRD_KEY.match(line) for line in lines):
        raise _damaged(path)
    return lines


def _meta_lines(path: Path) -> list[str]:
    with path.open("rb") as file:
        lines = _lines(file.read(_MOST_BYTES))
    last = next((number for number, line in enumerate(lines) if _META_END.match(line)), None)
    if last is None:
        raise _damaged(path)
    header = lines[: last + 1]
    name = header[-1].partition("=" if "=" in header[-1] else ":")[2]
    if not name.strip() or any(map(_META_DIMENSIONS.match, header)):
        raise _damaged(path)
    return lines if name.split()[0].upper() == "LIST" else header


def _lines(head: bytes) -> list[str]:
    """Lines as the parsers see them: Python's own would end some where these go on."""
    return re.split(r"[\r\n]+", head.decode("latin-1"))


def _check_name(path: Path, name: str) -> None:
    if name.upper() == "LOCAL":
        return
    if not _NUMBERED.fullmatch(name):
        raise _damaged(path)
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    outside = posix.is_absolute() or windows.anchor or ".." in windows.parts
    beside = path.parent / name
    if outside or (beside.exists() and not beside.is_file()):
        raise InputError(
            f"'{path.name}' takes its voxels from another place.",
            f"Its header names '{name[:200]}', which is not a file in its own folder.",
            "Put header and data file into one folder, or save the image as one file (.nrrd, .mha, .nii.gz).",
        )


def _damaged(path: Path) -> ReadError:
    return ReadError(
        f"'{path.name}' cannot be read as an image.",
        "Its header is incomplete, or not as any program writes it.",
        "Copy or export the file again; the transfer may have been interrupted.",
    )
