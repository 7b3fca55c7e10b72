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
        """Whether the folder is there, or could be made, and belongs to nobody but this user."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if hasattr(os, "getuid"):
                self.folder.chmod(0o700)
                status = self.folder.stat()
                if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
                    raise PermissionError("other users of this computer can write to it")
            return os.access(self.folder, os.W_OK)
        except OSError as error:
            _log.info("Models are not converted, because %s cannot be used: %s", self.folder, error)
            return False

    def read(self, key: str) -> Entry | None:
        """The entry; None when there is none. One that is damaged or was changed is dropped."""
        folder = self._place(key)
        try:
            if not folder.is_dir() or folder.is_symlink():
                return None
            manifest = json.loads(_bytes(folder / _MANIFEST, most=_MANIFEST_BYTES))
            files = {name: _verified(folder, name, pin) for name, pin in manifest["files"].items()}
            content = dict(manifest["content"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, MemoryError) as error:
            _log.warning("A converted model was dropped because it is damaged: %s (%s)", folder, error)
            self.drop(key)
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

    def count_attempt(self, key: str) -> int:
        """How often, this time included, somebody has begun to make this entry within a day without finishing it.

        Whatever ends a conversion, be it the power, it is not begun for ever.
        """
        path = self.folder / f"{key}.attempts"
        try:
            fresh = path.is_file() and time.time() - path.stat().st_mtime < _ABANDONED_S
            count = (path.stat().st_size if fresh else 0) + 1
            path.write_bytes(b"." * min(count, 100))
        except OSError:
            return 1
        return count

    def forget_attempts(self, key: str) -> None:
        """After a conversion has ended by itself, or was ended for a reason that is none of its own."""
        with contextlib.suppress(OSError):
            (self.folder / f"{key}.attempts").unlink(missing_ok=True)

    @contextlib.contextmanager
    def claimed(self, key: str) -> Iterator[bool]:
        """Whether nobody else is making this entry; while inside, nobody else is told so. Ends with the process."""
        lock = FileLock(self.folder / f"{key}.lock", timeout=0)
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


def _clear_abandoned(path: Path) -> None:
    """What a process that was killed has left behind."""
    if time.time() - path.stat().st_mtime < _ABANDONED_S:
        return
    if path.name.startswith((_NEW, _OLD)):
        shutil.rmtree(path, ignore_errors=True)
    elif path.suffix in (".lock", ".attempts"):
        path.unlink(missing_ok=True)
