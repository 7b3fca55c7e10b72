"""Writing without ever leaving half a file, or losing the one before."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from medai.errors import WriteError


def replace_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file beside the old one, and put it in its place once it is complete.

    Raises
    ------
    WriteError
        When the disk is full or the folder cannot be written to; the old file is as it was.
    """
    partial = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except Exception as error:
        partial.unlink(missing_ok=True)
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError) and "file write failed" not in str(error):
            raise
        full = isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)
        said = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(error)
        raise WriteError(
            f"'{path.name}' could not be saved.",
            "The disk is full." if full else f"The computer reports: {said}.",
            "Free some space and give the same command again: the training goes on from where it was last saved.",
            details=repr(error),
        ) from error
