"""Converted models on disk: one folder for each, complete or not there at all.

Nothing in this room depends on the cache: what cannot be read is dropped, what cannot be written is logged.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

FOLDER_VARIABLE = "MEDAI_CACHE"
_LIMIT_BYTES = 4 * 2**30
_MANIFEST = "entry.json"
_MANIFEST_BYTES = 2**20
_KEY = re.compile(r"[0-9a-f]{64}")
_NEW, _OLD = ".new-", ".old-"
_ABANDONED_S = 24 * 3600.0
_log = logging.getLogger("medai.engine.backends")


@dataclass(frozen=True)
class Entry:
    """What is kept under one key.

    Parameters
    ----------
    content : dict
        Plain JSON.
    files : dict
        Bytes by file name, each proven to be what was written.
    """

    content: dict[str, Any]
    files: dict[str, bytes]


class Cache:
    """A private folder of entries, bounded in size; the one used longest ago goes first. Any number of processes may
    use it at once.

    Parameters
    ----------
    folder : Path, optional
        ``converted`` in the folder that the environment variable ``MEDAI_CACHE`` names, or in the user's cache folder.
    limit_bytes : int
        Of all files together.
    """

    def __init__(self, folder: Path | None = None, limit_bytes: int = _LIMIT_BYTES) -> None:
        self.folder = Path(folder) if folder is not None else _default_folder()
        self.limit_bytes = limit_bytes

    def usable(self) -> bool:
        """Whether entries can be made: the folder is there, or could be made, and is open to nobody but this user."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if hasattr(os, "getuid"):
                status = self.folder.stat()
                if status.st_uid != os.getuid():
                    raise PermissionError("it belongs to another user of this computer")
                if stat.S_IMODE(status.st_mode) & 0o077:
                    self.folder.chmod(0o700)
            return os.access(self.folder, os.W_OK)
        except OSError as error:
            _log.info("Models are not converted, because %s cannot be used: %s", self.folder, error)
            return False

    def readable(self) -> bool:
        """Whether entries may be trusted: nobody but this user or the computer's administrator can have made them.

        So may be a folder that `usable` refuses, filled beforehand and not to be written to.
        """
        try:
            status = self.folder.stat()
        except OSError:
            return False
        if not hasattr(os, "getuid"):
            return stat.S_ISDIR(status.st_mode)
        trusted = status.st_uid in (os.getuid(), 0) and not stat.S_IMODE(status.st_mode) & 0o022
        return stat.S_ISDIR(status.st_mode) and trusted

    def read(self, key: str) -> Entry | None:
        """The entry; None when there is none, or it cannot be read now. A damaged or changed one is dropped."""
        folder = self._place(key)
        which = _identity(folder)
        try:
            if not folder.is_dir() or folder.is_symlink():
                return None
            manifest = json.loads(_bytes(folder / _MANIFEST, most=_MANIFEST_BYTES))
            files = {name: _verified(folder, name, pin) for name, pin in manifest["files"].items()}
            content = dict(manifest["content"])
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError) as error:
            if _identity(folder) != which:
                return None  # replaced while it was read, so that parts of both were seen
            _log.warning("A converted model was dropped because it is damaged: %s (%s)", folder, error)
            self.drop(key)
            return None
        except (OSError, MemoryError) as error:  # no fault of the entry's
            _log.info("A converted model cannot be read now: %s (%s)", folder, error)
            return None
        with contextlib.suppress(OSError):
            os.utime(folder / _MANIFEST)  # when it was last of use
        return Entry(content, files)

    def write(self, key: str, content: dict[str, Any], source: Path | None = None) -> bool:
        """Keep an entry in place of whatever was there; whether it is kept.

        Parameters
        ----------
        content : dict
            Plain JSON.
        source : Path, optional
            A folder whose files belong to the entry.
        """
        place = self._place(key)
        new: Path | None = None
        try:
            new = Path(tempfile.mkdtemp(prefix=_NEW, dir=self.folder))
            pins: dict[str, Any] = {}
            for path in sorted(source.iterdir()) if source is not None else []:
                shutil.copyfile(path, new / path.name)
                pins[path.name] = {"sha256": _hash(new / path.name), "size": (new / path.name).stat().st_size}
            (new / _MANIFEST).write_text(json.dumps({"content": content, "files": pins}, indent=1), encoding="utf-8")
            self.drop(key)
            new.rename(place)
        except OSError as error:
            if new is not None:
                shutil.rmtree(new, ignore_errors=True)
            _log.info("A converted model could not be kept in %s: %s", self.folder, error)
            return False
        self._make_room(but=key)
        return True

    def drop(self, key: str) -> None:
        """Forget an entry, at once for everybody."""
        with contextlib.suppress(OSError):
            aside = Path(tempfile.mkdtemp(prefix=_OLD, dir=self.folder))
            with contextlib.suppress(OSError):
                self._place(key).rename(aside / "entry")
            shutil.rmtree(aside, ignore_errors=True)

    def attempts(self, key: str) -> int:
        """How often within a day the making of this entry was cut short by force."""
        path = self.folder / f"{key}.attempts"
        with contextlib.suppress(OSError):
            return 0 if _is_abandoned(path) else path.stat().st_size
        return 0

    def count_attempt(self, key: str) -> int:
        """Note down one more of `attempts`, and give their number: what is always killed is not begun for ever."""
        count = self.attempts(key) + 1
        with contextlib.suppress(OSError):
            (self.folder / f"{key}.attempts").write_bytes(b"." * min(count, 100))
        return count

    def forget_attempts(self, key: str) -> None:
        """After a conversion has come to an outcome."""
        with contextlib.suppress(OSError):
            (self.folder / f"{key}.attempts").unlink(missing_ok=True)

    @contextlib.contextmanager
    def claimed(self, key: str, timeout_s: float = 0.0) -> Iterator[bool]:
        """Whether nobody else is making this entry; while inside, nobody else is told so. Ends with the process.

        Parameters
        ----------
        key : str
            The entry's.
        timeout_s : float
            How long to wait for somebody else who is making it.
        """
        lock = FileLock(self.folder / f"{key}.lock", timeout=timeout_s)
        try:
            lock.acquire()
        except (Timeout, OSError):
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def _place(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"not a key: {key!r}")
        return self.folder / key

    def _make_room(self, but: str) -> None:
        entries: list[tuple[float, int, str]] = []
        with contextlib.suppress(OSError):
            for path in self.folder.iterdir():
                with contextlib.suppress(OSError):
                    if _KEY.fullmatch(path.name) and path.is_dir():
                        size = sum(file.stat().st_size for file in path.iterdir())
                        entries.append(((path / _MANIFEST).stat().st_mtime, size, path.name))
                    elif path.name not in (f"{but}.lock", f"{but}.attempts"):
                        _clear_abandoned(path)
        total = sum(size for _, size, _ in entries)
        for _, size, name in sorted(entries):
            if total <= self.limit_bytes:
                break
            if name != but:
                self.drop(name)
                total -= size


def _default_folder() -> Path:
    if os.environ.get(FOLDER_VARIABLE):
        return Path(os.environ[FOLDER_VARIABLE]) / "converted"
    import platformdirs

    return Path(platformdirs.user_cache_dir("medai", appauthor=False)) / "converted"


def _identity(folder: Path) -> tuple[int, int] | None:
    with contextlib.suppress(OSError):
        status = folder.stat()
        return status.st_dev, status.st_ino
    return None


def _verified(folder: Path, name: str, pin: dict[str, Any]) -> bytes:
    """The file's bytes. They are what is loaded afterwards, so nobody can change the file in between."""
    if Path(name).name != name or (folder / name).is_symlink():
        raise ValueError(f"{name!r} is not one of its files")
    content = _bytes(folder / name, most=int(pin["size"]))
    if hashlib.sha256(content).hexdigest() != pin["sha256"]:
        raise ValueError(f"{name} is not what was written")
    return content


def _bytes(path: Path, most: int) -> bytes:
    if path.stat().st_size > most:
        raise ValueError(f"{path.name} is larger than what was written")
    return path.read_bytes()


def _hash(path: Path) -> str:
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            sha.update(block)
    return sha.hexdigest()


def _is_abandoned(path: Path) -> bool:
    return abs(time.time() - path.stat().st_mtime) >= _ABANDONED_S  # a clock may have been set back


def _clear_abandoned(path: Path) -> None:
    """What a process that was killed has left behind."""
    if not _is_abandoned(path):
        return
    if path.name.startswith((_NEW, _OLD)):
        shutil.rmtree(path, ignore_errors=True)
    elif path.suffix in (".lock", ".attempts"):
        path.unlink(missing_ok=True)
