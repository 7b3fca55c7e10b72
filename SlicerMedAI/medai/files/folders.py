"""Folders that results go into."""

from __future__ import annotations

import tempfile
from pathlib import Path

from medai.errors import WriteError


def make_folder(folder: Path) -> None:
    """A folder with those that it lies in, unless it is there, into which files can be written.

    Raises
    ------
    WriteError
        When it cannot be made, or no file in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise WriteError(
            f"The folder '{folder}' cannot be made or written to.",
            f"The computer reports: {error.strerror or error}.",
            "Choose another output folder.",
            details=repr(error),
        ) from error
