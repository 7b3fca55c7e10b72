"""Is every file of a bundle the file that was published? SHA-256, in the format of ``sha256sum -c``."""

from __future__ import annotations

import hashlib
import os
import re
from functools import lru_cache
from pathlib import Path

from medai.errors import BundleFormatError, BundleTamperedError, MaliciousBundleError, WriteError

PINS = "SHA256SUMS"
CODE = frozenset({".py", ".pyc", ".pyd", ".so", ".dll", ".dylib", ".pth"})
_DEEPEST, _MOST_FILES = 16, 20_000
_PINNED = ("configs", "models", "scripts")
_LINE = re.compile(r"^(?P<hash>[0-9a-fA-F]{64}) [ *](?P<name>.+)$")


def digest(root: Path) -> str:
    """One SHA-256 for all that decides what a bundle does: its configs, weights and scripts, names included.

    Returns
    -------
    str
        64 hexadecimal digits; changes when any of these files changes, appears, disappears or is renamed.
    """
    total = hashlib.sha256()
    for name in sorted(_deciding_files(root)):
        total.update(f"{file_hash(root / name)}  {name}\n".encode())
    return total.hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of one file, remembered until its size or time of change differs."""
    try:
        status = path.stat()
        return _hash(str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    except OSError as error:
        raise BundleFormatError(
            f"The file {path.name} of a model cannot be read.",
            f"The system says: {error.strerror or error}.",
            "Check the disk and the permissions of the folder, or import the model again.",
        ) from error


def is_pinned(root: Path) -> bool:
    """Whether the bundle carries a list of hashes."""
    return (root / PINS).is_file()


def check_pins(root: Path) -> bool:
    """Compare every file with the bundle's ``SHA256SUMS``.

    Returns
    -------
    bool
        True when all files are as pinned, False when the bundle has no list of hashes.

    Raises
    ------
    BundleTamperedError
        When a file differs, or a config, weight or script is not in the list.
    BundleFormatError
        When a listed file is missing or the list cannot be read.
    MaliciousBundleError
        When the list names files outside of the bundle.
    """
    if not is_pinned(root):
        return False
    pins = read_pins(root)
    for name, expected in pins.items():
        path = root / name
        if not path.is_file():
            raise BundleFormatError(
                f"The model '{root.name}' is incomplete.",
                f"Its file {name} is missing.",
                "Import or download the model again.",
            )
        found = file_hash(path)
        if found != expected:
            raise BundleTamperedError(
                f"The model '{root.name}' was changed after it was published, so it is not used.",
                f"Its file {name} should have the SHA-256 {expected} but has {found}.",
                "Import or download the model again; if you changed it on purpose, import the changed folder: "
                "medai models import FOLDER --replace.",
            )
    extra = sorted(_deciding_files(root) - set(pins))
    if extra:
        raise BundleTamperedError(
            f"The model '{root.name}' was changed after it was published, so it is not used.",
            f"Its file {extra[0]} (SHA-256 {file_hash(root / extra[0])}) is not in the list of published files, "
            "which has no hash for it.",
            "Import or download the model again, or remove the file that does not belong to it.",
        )
    return True


def read_pins(root: Path) -> dict[str, str]:
    """Relative POSIX file names and their expected SHA-256 from ``SHA256SUMS``."""
    pins: dict[str, str] = {}
    try:
        lines = (root / PINS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(root) from error
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.match(line)
        name = match["name"].removeprefix("./") if match else ""
        if match is None or name in pins:
            raise _unreadable(root)
        parts = name.replace("\\", "/").split("/")
        if name.startswith("/") or ".." in parts or ":" in name:
            raise MaliciousBundleError(
                f"The model '{root.name}' was refused for safety.",
                f"Its list of hashes names '{name}', which lies outside of the model.",
                "Do not use this copy of the model; get it from its authors.",
            )
        pins[name] = match["hash"].lower()
    return pins


def write_pins(root: Path) -> Path:
    """Write ``SHA256SUMS`` for every file of the bundle but itself.

    Left out are hidden and cache files, and what a training or evaluation leaves in ``runs`` and ``eval``.
    """
    lines = [f"{file_hash(root / name)}  {name}\n" for name in sorted(files_of(root))]
    path = root / PINS
    partial = root / f"{PINS}.part"
    try:
        partial.write_text("".join(lines), encoding="utf-8", newline="\n")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise WriteError(
            f"The hashes of the model '{root.name}' cannot be written.",
            f"The system says: {error.strerror or error}.",
            "Free some disk space or choose a folder that you may write to.",
        ) from error
    return path


def files_of(root: Path) -> set[str]:
    """Names of all files of a bundle but its list of hashes, hidden ones, and what trainings and evaluations leave."""
    names = set()
    for folder, folders, files in os.walk(root):
        passing = ("__pycache__", *(("runs", "eval") if Path(folder) == root else ()))
        folders[:] = [name for name in folders if not name.startswith(".") and name not in passing]
        for file in files:
            name = (Path(folder) / file).relative_to(root).as_posix()
            if not file.startswith(".") and name not in (PINS, f"{PINS}.part"):
                names.add(name)
    return names


def _deciding_files(root: Path) -> set[str]:
    """Configs, weights, scripts, and code wherever it lies, but for the compiled copies that Python makes by itself."""
    names: set[str] = set()
    # Links are followed: what lies behind one is read like all the rest, so it decides as well.
    for folder, folders, files in os.walk(root, followlinks=True):
        folders[:] = [name for name in folders if name not in ("__pycache__", ".git")]
        if len(Path(folder).relative_to(root).parts) > _DEEPEST or len(names) > _MOST_FILES:
            raise BundleFormatError(
                f"The model '{root.name}' cannot be used.",
                "Its folders are far deeper or fuller than those of any model; a link may lead in a circle.",
                "Import or download the model again.",
            )
        for file in files:
            path = (Path(folder) / file).relative_to(root)
            if (path.parts[0] in _PINNED and file not in _CLUTTER) or path.suffix.lower() in CODE:
                names.add(path.as_posix())
    return names


_CLUTTER = {".DS_Store", "Thumbs.db", "desktop.ini", ".gitkeep", ".gitignore"}


@lru_cache(maxsize=4096)
def _hash(path: str, size: int, modified_ns: int, changed_ns: int) -> str:  # noqa: ARG001 - they key the cache
    with Path(path).open("rb") as file:
        sha = hashlib.sha256()
        while block := file.read(2**20):
            sha.update(block)
    return sha.hexdigest()


def _unreadable(root: Path) -> BundleFormatError:
    return BundleFormatError(
        f"The model '{root.name}' cannot be verified.",
        f"Its list of hashes ({PINS}) is damaged.",
        "Import or download the model again.",
    )
