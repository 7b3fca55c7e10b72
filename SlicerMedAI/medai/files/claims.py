"""Refuse what a file claims but cannot hold, before any memory is asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import psutil

from medai.errors import GeometryError, InputError, ReadError

# Deflate cannot squeeze more than 1032 to 1 (zlib's technical notes); whatever claims more is no honest file.
_DEFLATE_LIMIT = 1032


def check_claim(path: Path, shape: Sequence[int], voxel_bytes: int, *, stored_bytes: int, compressed: bool) -> None:
    """Compare the size a header claims with what the file holds and with the memory that is free.

    Parameters
    ----------
    path : Path
        Of the image, for messages.
    shape : sequence of int
        Claimed number of voxels along every axis, components included.
    voxel_bytes : int
        Bytes of one value.
    stored_bytes : int
        Bytes the file has for voxels.
    compressed : bool
        Whether these bytes are deflated.

    Raises
    ------
    GeometryError
        When an axis has no voxels.
    ReadError
        When the file holds less than it claims.
    InputError
        When the image does not fit into the free memory.
    """
    grid = " x ".join(str(int(n)) for n in shape)
    if any(n <= 0 for n in shape):
        raise GeometryError(
            f"'{path.name}' is not a usable image.",
            f"Its header describes a grid of {grid} voxels.",
            "Export the image again from where it came from.",
        )
    claimed = math.prod(int(n) for n in shape) * voxel_bytes
    room = stored_bytes * (_DEFLATE_LIMIT if compressed else 1) + (1024 if compressed else 0)
    if claimed > room:
        raise ReadError(
            f"'{path.name}' is incomplete.",
            f"Its header describes {grid} voxels ({_size(claimed)}), but the file holds only {_size(stored_bytes)}.",
            "Copy or export the file again; the transfer may have been interrupted.",
        )
    check_memory(path, claimed)


def check_memory(path: Path, needed: int) -> None:
    """Refuse an image of `needed` bytes that would not fit into the free memory.

    Raises
    ------
    InputError
        When it does not fit.
    """
    free = psutil.virtual_memory().available
    if needed > free:
        raise InputError(
            f"'{path.name}' is too large for this computer.",
            f"It needs {_size(needed)} of memory and {_size(free)} are free.",
            "Close other programs, crop the image, or use a computer with more memory.",
        )


def _size(count: int) -> str:
    """Bytes in a unit that a person reads."""
    value, units = float(count), ["bytes", "KB", "MB", "GB", "TB", "PB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.0f} {units[0]}" if units[0] == "bytes" else f"{value:.1f} {units[0]}"
