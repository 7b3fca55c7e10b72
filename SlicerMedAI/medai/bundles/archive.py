"""Take a bundle out of a zip file without letting the zip file choose where its parts land or how large they get."""

from __future__ import annotations

import re
import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

from medai.errors import BundleFormatError, MaliciousBundleError, MedAIError, WriteError

_MAX_FILES = 5_000
_MAX_BYTES = 20 * 2**30
_MAX_RATIO = 200  # configurations pack about tenfold, weights hardly at all
_RATIO_FROM_BYTES = 2**20
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # devices on Windows


def extract(archive: Path, folder: Path) -> Path:
    """Unpack a zipped bundle into an empty folder.

    Parameters
    ----------
    archive : Path
        The zip file. Its bundle may lie at the top or in one folder.
    folder : Path
        An existing empty folder.

    Returns
    -------
    Path
        The bundle's folder in it: the one that holds ``configs/metadata.json``.

    Raises
    ------
    MaliciousBundleError
        When a part would land outside of the folder, is a link, or unfolds to far more than it holds.
    BundleFormatError
        When the file is no zip file, is truncated, or holds no bundle.
    WriteError
        When the disk is full or may not be written to.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            infos = [info for info in opened.infolist() if not info.is_dir()]
            _check(infos, archive)
            for info in infos:
                _write(opened, info, folder / PurePosixPath(_plain(info.filename)))
    except MedAIError:
        raise
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise BundleFormatError(
            f"The file '{archive.name}' cannot be imported.",
            "It is damaged, incomplete, or not a zip file of a model.",
            "Download it again.",
            details=str(error),
        ) from error
    except OSError as error:
        raise full(archive.name, error) from error
    return bundle_in(folder, archive.name)


def bundle_in(folder: Path, name: str) -> Path:
    """The folder that holds ``configs/metadata.json``: this one, or the only one in it that does.

    Raises
    ------
    BundleFormatError
        When there is none, or there are several.
    """
    if (folder / "configs" / "metadata.json").is_file():
        return folder
    found = [path for path in sorted(folder.iterdir()) if (path / "configs" / "metadata.json").is_file()]
    if len(found) == 1:
        return found[0]
    why = (
        f"It holds {len(found)} models" if found else "It holds no file configs/metadata.json, so it is no MONAI bundle"
    )
    raise BundleFormatError(
        f"'{name}' cannot be imported.",
        f"{why}.",
        "Choose the folder or zip file of one model, with its configs and weights.",
    )


def full(name: str, error: OSError) -> WriteError:
    """The error for a disk that is full or read-only."""
    reason = error.strerror
    if isinstance(error, shutil.Error) and error.args and error.args[0]:
        reason = str(error.args[0][-1][-1])  # of many files, the last one's
    return WriteError(
        f"The model '{name}' cannot be imported.",
        f"Its files cannot be written: {reason or error}.",
        "Free some disk space, or check that you may write to the folder of models; nothing was changed.",
    )


def _check(infos: list[zipfile.ZipInfo], archive: Path) -> None:
    seen: set[str] = set()
    for info in infos:
        name = _plain(info.filename)
        parts = name.split("/")
        raw = getattr(info, "orig_filename", info.filename)
        if name.startswith("/") or ".." in parts or ":" in name or "\0" in raw:
            raise _refused(archive, f"Its part '{info.filename}' would be written outside of the folder of models")
        if any(not letter.isprintable() for letter in name):
            raise _refused(archive, f"Its part {info.filename!a} has a name that no honest file has")
        # On Windows, "nul" is no file, and names that end with a dot or a space lose it.
        if any(part in ("", ".") or _RESERVED.fullmatch(part) or part != part.rstrip(". ") for part in parts):
            raise _refused(archive, f"Its part '{info.filename}' has a name that no honest file has")
        mode = info.external_attr >> 16
        if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise _refused(archive, f"Its part '{info.filename}' is a link to another place, not a file")
        if name.casefold() in seen:
            raise _refused(archive, f"It holds the file '{info.filename}' twice")
        seen.add(name.casefold())
        if info.file_size > _RATIO_FROM_BYTES and info.file_size > _MAX_RATIO * max(info.compress_size, 1):
            raise _refused(archive, f"Its part '{info.filename}' unfolds to {info.file_size / 2**30:.1f} GB")
    total = sum(info.file_size for info in infos)
    many_small = total > 2**28 and total > _MAX_RATIO * archive.stat().st_size
    if len(infos) > _MAX_FILES or total > _MAX_BYTES or many_small:
        raise _refused(archive, "It unfolds to more files or bytes than any model has")


def _write(opened: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # The sizes in the directory may lie, so no more is written than they promise.
    with opened.open(info) as source, target.open("xb") as file:
        shutil.copyfileobj(_Limited(source, info.file_size), file, 2**20)  # type: ignore[misc]


class _Limited:
    def __init__(self, source: object, size: int) -> None:
        self.source = source
        self.left = size

    def read(self, size: int = -1) -> bytes:
        block: bytes = self.source.read(size)  # type: ignore[attr-defined]
        self.left -= len(block)
        if self.left < 0:
            raise zipfile.BadZipFile("a part is larger than its size in the directory")
        return block


def _plain(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./")


def _refused(archive: Path, why: str) -> MaliciousBundleError:
    return MaliciousBundleError(
        f"The file '{archive.name}' was refused for safety.",
        f"{why}.",
        "Do not use this copy of the model; get it from its authors.",
    )
