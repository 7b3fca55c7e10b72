"""Folders that results go into."""

from __future__ import annotations

from pathlib import Path

from medai.errors import WriteError


def make_folder(folder: Path) -> None:
    """A folder with those that it lies in, unless it is there.

    Raises
    ------
    WriteError
        When it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(
            f"The folder '{folder}' cannot be made.",
            f"The computer reports: {error.strerror or error}.",
            "Choose another output folder.",
            details=repr(error),
        ) from error
