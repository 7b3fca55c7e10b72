"""A DICOM file or folder into a `Volume` or `Series`."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medai.dicom.grid import Grid, grid_of
from medai.dicom.pixels import frames_of
from medai.dicom.series import choose_series
from medai.dicom.slices import Slice, slices_of
from medai.errors import MedAIError, ReadError
from medai.files.claims import check_memory
from medai.volume import SYNTHETIC, Series, Volume


def read_dicom(path: Path, series: str | int | None = None) -> Volume | Series:
    """Read one series.

    Parameters
    ----------
    path : Path
        A folder, searched with its subfolders, or one file.
    series : str, int or None
        Number in the folder's list, SeriesInstanceUID or description; needed when there are several.

    Returns
    -------
    Volume or Series
        Slices ascend along the normal. Values are the real ones (slope and intercept applied): integers where they are
        integers, else float32. Several images at every position (time, echoes, magnitude and phase) give a `Series`.

    Raises
    ------
    InputError, GeometryError, ReadError, DependencyError
        See `medai.dicom.series`, `medai.dicom.grid` and `medai.dicom.pixels`.
    """
    chosen = choose_series(path, series)
    name = chosen.description or (path.stem if path.is_file() else path.name)
    check_memory(path, math.prod(chosen.shape))  # before a bogus header costs even the time to list its frames
    grid = grid_of([one for file in chosen.files for one in slices_of(file, _dataset(file, pixels=False))], name)
    frames = _fill(grid)
    about: dict[str, Any] = {"modality": chosen.modality, "id": chosen.uid, "date": chosen.date}
    if chosen.synthetic:
        about["notes"] = (SYNTHETIC,)
    if len(frames) == 1:
        return Volume(frames[0], grid.affine, name, **about)
    index = _times(grid)
    return Series(
        tuple(Volume(frame, grid.affine, f"{name} {n}", **about) for n, frame in enumerate(frames)),
        index,
        "s" if index else "",
        name,
        chosen.uid,
    )


def _dataset(file: Path, *, pixels: bool) -> Any:
    import pydicom

    try:
        return pydicom.dcmread(file, stop_before_pixels=not pixels, force=True)
    except (OSError, MemoryError, MedAIError):
        raise
    except Exception as error:
        raise ReadError(
            f"The DICOM file '{file.name}' is damaged.",
            "Its header cannot be understood.",
            "Export the series again; the transfer may have been interrupted.",
            details=repr(error),
        ) from error


def _fill(grid: Grid) -> list[NDArray[np.generic]]:
    """Voxels of every frame, each (K, J, I[, C]). Every file is opened once."""
    wanted: dict[Path, list[tuple[int, int, Slice]]] = {}
    for t, frame in enumerate(grid.frames):
        for k, one in enumerate(frame):
            wanted.setdefault(one.path, []).append((t, k, one))
    planes: list[list[NDArray[np.generic] | None]] = [[None] * len(frame) for frame in grid.frames]
    for path, places in wanted.items():
        stored = frames_of(path, _dataset(path, pixels=True))
        for t, k, one in places:
            if one.frame >= len(stored):
                raise ReadError(
                    f"The DICOM file '{path.name}' is damaged.",
                    f"It holds {len(stored)} frames, but its header describes more.",
                    "Export the series again; the transfer may have been interrupted.",
                )
            row, column = one.origin
            planes[t][k] = stored[one.frame, row : row + one.rows, column : column + one.columns]
    return [_scaled(frame, planes[t]) for t, frame in enumerate(grid.frames)]


def _scaled(frame: tuple[Slice, ...], planes: list[NDArray[np.generic] | None]) -> NDArray[np.generic]:
    """One frame in real values: stored times slope plus intercept, each slice by its own."""
    stored = np.stack([plane for plane in planes if plane is not None])
    slopes = np.array([one.slope for one in frame])
    intercepts = np.array([one.intercept for one in frame])
    if (slopes == 1).all() and (intercepts == 0).all():
        return stored
    along_k = (slice(None), *[np.newaxis] * (stored.ndim - 1))
    if stored.dtype.kind in "iu" and (slopes % 1 == 0).all() and (intercepts % 1 == 0).all():
        exact = stored * slopes.astype(np.int64)[along_k] + intercepts.astype(np.int64)[along_k]
        low, high = exact.min(), exact.max()
        fitting = np.int16 if low >= -(2**15) and high < 2**15 else np.int32
        return np.asarray(exact, dtype=fitting)
    return np.asarray(stored * slopes[along_k] + intercepts[along_k], dtype=np.float32)


def _times(grid: Grid) -> tuple[float, ...]:
    """Seconds from the first frame to each, when the scanner's clock tells them apart; else nothing."""
    clock = [frame[0].time for frame in grid.frames]
    known = [moment for moment in clock if moment is not None]
    if len(known) < len(clock) or any(b <= a for a, b in pairwise(known)):
        return ()
    return tuple(moment - known[0] for moment in known)
