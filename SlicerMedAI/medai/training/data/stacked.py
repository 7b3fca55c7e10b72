"""Arrays of a ``.npz`` file, each a stack of images: never unpickled, never larger than the file can hold."""

from __future__ import annotations

import math
import threading
import tokenize
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medai.errors import MedAIError, ReadError
from medai.files.claims import check_claim, check_memory
from medai.files.itk import LPS_TO_RAS
from medai.training.data.item import ArrayReference
from medai.volume import Volume

_READING = threading.Lock()
_DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,  # NumPy reads an array's header as Python
)


@dataclass(frozen=True)
class StoredArray:
    """What the header of one array in a ``.npz`` file says: name, shape and type."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def stored_arrays(path: Path) -> dict[str, StoredArray]:
    """Arrays of a ``.npz`` file by name, from their headers; no voxels are read.

    Raises
    ------
    ReadError
        When it is no ``.npz`` file, is damaged, or holds pickled Python objects, which can run code.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename.endswith(".npy")]
            found = {entry.filename[:-4]: _header(path, archive, entry) for entry in entries}
    except MedAIError:
        raise
    except _DAMAGED as error:
        raise _damaged(path, error) from error
    return found


def _header(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> StoredArray:
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    name = entry.filename[:-4]
    if dtype.hasobject or dtype.kind not in "biuf":
        raise ReadError(
            f"'{path.name}' was not read.",
            f"Its array '{name}' holds Python objects or text, not numbers; such files can run code when opened.",
            "Ask for a file with plain number arrays.",
        )
    if 0 not in shape:
        check_claim(path, shape, dtype.itemsize, stored_bytes=entry.file_size, compressed=False)
    return StoredArray(name, shape, dtype)


def load_array(path: Path, name: str) -> NDArray[Any]:
    """One whole array, read-only; the last few are kept, because the next image is mostly in the same one.

    Raises
    ------
    ReadError
        As `stored_arrays`, and when there is no such array.
    InputError
        When it does not fit into the free memory.
    """
    try:
        changed = path.stat().st_mtime_ns
    except OSError as error:
        raise ReadError(
            f"'{path}' was not found.", "There is no such file.", "Check the name and where the file is."
        ) from error
    with _READING:  # or several threads would unpack the same array at once
        return _load(path, name, changed)


@lru_cache(maxsize=4)
def _load(path: Path, name: str, _changed: int) -> NDArray[Any]:
    header = stored_arrays(path).get(name)
    if header is None:
        raise ReadError(f"'{path.name}' has no array '{name}'.", "The list names one.", "Check that the file is whole.")
    check_memory(path, math.prod(header.shape) * header.dtype.itemsize)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            array: NDArray[Any] = arrays[name]
    except _DAMAGED as error:
        raise _damaged(path, error) from error
    array.setflags(write=False)
    return array


def stacked_image(reference: ArrayReference) -> Volume:
    """One image of a stack.

    It lies as SimpleITK would place an array without geometry, which is also how medai reads a PNG file: 1 mm voxels
    from the origin, columns to the patient's left, rows to the back.

    Raises
    ------
    ReadError, InputError
        As `load_array`, and when the stack is shorter or has another number of axes than images have.
    """
    stack = load_array(reference.path, reference.array)
    if stack.ndim not in (3, 4, 5) or not reference.index < len(stack):
        raise ReadError(
            f"'{reference.path.name}' has no image {reference.index} in '{reference.array}'.",
            f"That array has the shape {stack.shape}.",
            "Read the data list again from the file.",
        )
    image = stack[reference.index]
    if image.ndim == 2 or is_color(stack.shape):
        image = image[np.newaxis]
    return Volume(image, LPS_TO_RAS, f"{reference.array} {reference.index}", id=str(reference))


def is_color(shape: tuple[int, ...]) -> bool:
    """Whether a stack of shape (N, rows, columns, 3 or 4) holds colour pictures rather than volumes."""
    return len(shape) == 4 and shape[3] in (3, 4)


def _damaged(path: Path, error: BaseException) -> ReadError:
    return ReadError(
        f"'{path.name}' cannot be read as a .npz file.",
        "It is damaged, incomplete, or holds something other than arrays of numbers.",
        "Download or copy the file again.",
        details=repr(error),
    )
