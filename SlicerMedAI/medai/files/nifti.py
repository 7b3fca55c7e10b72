"""NIfTI, read as MONAI's own reader reads it, and written with the geometry it came with."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medai.errors import InputError, ReadError
from medai.files.claims import check_claim
from medai.files.formats import stem, suffix
from medai.volume import SYNTHETIC, Affine, Series, Volume, corners

_MOST_TRAILING = 1 << 28  # bytes after the last voxel; a file of zeros deflates to nothing and inflates for hours
_TIME_UNITS = {"sec": ("s", 1.0), "msec": ("ms", 1.0), "usec": ("ms", 1e-3)}
_MADE_UP = b"SYNTHETIC image, no patient"


def read_nifti(path: Path) -> Volume | Series:
    """Read a ``.nii`` or ``.nii.gz`` file.

    Raises
    ------
    ReadError
        When the file is no NIfTI file or is damaged.
    InputError
        When its voxels are complex numbers, or it has more than four dimensions that are not components.
    """
    import nibabel as nib
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        # No memory map: Windows would lock the file for as long as the voxels live.
        with _silence():
            image = nib.load(path, mmap=False)
            _check(path, image)
            notes = (*_two_places(path, image), *_synthetic(image))
            affine = _affine(image)
            array = _checked_voxels(path, image)
    except (ImageFileError, HeaderDataError, EOFError, zlib.error, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's fault, not the file's
        raise ReadError(
            f"'{path.name}' cannot be read as a NIfTI image.",
            "The file is damaged, incomplete or of another format.",
            "Copy or export the file again; the transfer may have been interrupted.",
            details=repr(error),
        ) from error
    name, identity = stem(path), str(path)
    if array.ndim == 4 and array.shape[0] > 1 and not _is_vector(image):
        frames = tuple(Volume(frame, affine, f"{name} {n}", id=identity, notes=notes) for n, frame in enumerate(array))
        index, unit = _times(image, len(frames))
        return Series(frames, index, unit, name, identity)
    if array.ndim == 4:
        array = array[0] if array.shape[0] == 1 else np.moveaxis(array, 0, -1)
    return Volume(array, affine, name, id=identity, notes=notes)


@contextmanager
def _silence() -> Iterator[None]:
    """nibabel prints what it mends in a header; what matters of that is said in this module's own words."""
    from nibabel.imageglobals import logger

    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _is_vector(image: Any) -> bool:
    return (len(image.shape) == 5 and image.shape[4] > 1) or image.get_data_dtype().names is not None


def _check(path: Path, image: Any) -> None:
    dtype = image.get_data_dtype()
    if dtype.kind == "c":
        raise InputError(
            f"'{path.name}' holds complex numbers.",
            "A model needs one ordinary number per voxel.",
            "Export the magnitude image instead.",
        )
    shape = image.shape
    unusable = len(shape) > 3 and dtype.names is not None and max(shape[3:]) > 1  # colour and time at once
    if unusable or len(shape) > 5 or (len(shape) == 5 and 1 not in (shape[3], shape[4])):
        raise InputError(
            f"'{path.name}' has {len(shape)} dimensions.",
            "An image has up to three, and one more for time or for components.",
            "Save the part that you need as an image of its own.",
        )
    if not shape:
        raise ReadError(f"'{path.name}' holds no image.", "Its header describes no voxels.", "Choose another file.")
    source = Path(image.file_map["image"].filename)
    compressed = source.name.lower().endswith(".gz")
    stored = source.stat().st_size - (0 if compressed else int(image.dataobj.offset))
    check_claim(path, shape, dtype.itemsize, stored_bytes=max(stored, 0), compressed=compressed)


def _two_places(path: Path, image: Any) -> tuple[str, ...]:
    """What to tell of a file whose two matrices, sform and qform, put it at different places."""
    from nibabel.spatialimages import HeaderDataError

    header = image.header
    if not hasattr(image, "get_sform") or int(header["sform_code"]) == 0 or int(header["qform_code"]) == 0:
        return ()
    shape = (*image.shape, 1, 1)[:3][::-1]
    try:
        sform, qform = (corners(matrix, shape) for matrix in (image.get_sform(), image.get_qform()))
    except (HeaderDataError, ValueError):  # a damaged matrix that nobody uses
        return ()
    apart = float(np.linalg.norm(sform - qform, axis=1).max())
    if not apart >= 0.5 * float(np.abs(header.get_zooms()[:3]).min()):  # a zero or invalid matrix is told elsewhere
        return ()
    used = "qform" if np.array_equal(_affine(image), image.get_qform()) else "sform"
    note = (
        f"'{path.name}' says twice where it lies in the patient, up to {apart:.3g} mm apart; MONAI and this result use "
    )
    return (f"{note}its {used}, other programs may use the other one.",)


def _affine(image: Any) -> Affine:
    """Index-to-RAS matrix as MONAI's reader sees it.

    nibabel prefers the sform; MONAI falls back to the qform where only the latter agrees with the voxel size in the
    header (`monai.data.utils.correct_nifti_header_if_necessary`), so that must happen here, too.
    """
    header, rank = image.header, len(image.shape)
    if rank <= 3 and hasattr(image, "get_sform") and int(header["sform_code"]) != 0:
        zooms = np.asarray(header.get_zooms()[:rank])

        def agrees(matrix: Affine) -> bool:
            lengths = np.linalg.norm(matrix[:rank, :rank], axis=0)
            return bool(np.allclose(zooms, np.where(lengths == 0, 1, lengths)))

        if not agrees(image.affine) and agrees(image.get_qform()):
            image.set_sform(image.get_qform())
    return np.array(image.affine, dtype=np.float64)


def _checked_voxels(path: Path, image: Any) -> NDArray[np.generic]:
    """Voxels, after the checksum at the end of a gzip file has been compared: nibabel stops at the last voxel."""
    from nibabel.fileholders import FileHolder

    if not path.name.lower().endswith(".gz"):
        return _voxels(image)
    with gzip.open(path, "rb") as stream:
        holder = FileHolder(str(path), stream)
        array = _voxels(type(image).from_file_map({"header": holder, "image": holder}, mmap=False))
        trailing = 0
        while piece := stream.read(1 << 20):
            trailing += len(piece)
            if trailing > _MOST_TRAILING:
                raise ValueError("far more data than the header describes")
    return array


def _voxels(image: Any) -> NDArray[np.generic]:
    """Stored voxels, (K, J, I) or (T, K, J, I): the transpose of nibabel's, without a copy."""
    slope, intercept = image.dataobj.slope, image.dataobj.inter
    array = np.asanyarray(image.dataobj)
    if (slope, intercept) != (1, 0):
        with np.errstate(over="ignore"):  # becomes infinite, of which the person is told
            array = array.astype(np.float32)
    elif array.dtype.names:  # RGB and RGBA are stored as records of bytes
        spatial = (*array.shape[:3], *([1] * (3 - array.ndim)))
        array = np.stack([array[component].reshape(spatial) for component in array.dtype.names], axis=-1)
    elif array.dtype.itemsize > 8:
        array = array.astype(np.float64)  # long double differs from computer to computer
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.ndim == 5:
        array = array.reshape(*array.shape[:3], -1)
    array = array.reshape(*array.shape, *([1] * (3 - array.ndim)))
    return np.asarray(array.T)


def _times(image: Any, count: int) -> tuple[tuple[float, ...], str]:
    step = float(image.header.get_zooms()[3]) if len(image.shape) > 3 else 0.0
    unit, factor = _TIME_UNITS.get(image.header.get_xyzt_units()[1], ("", 1.0))
    if step <= 0 or not unit:
        return (), ""
    return tuple(n * step * factor for n in range(count)), unit


def write_nifti(
    target: Path, array: NDArray[np.generic], affine: Affine, *, vector: bool, synthetic: bool = False
) -> None:
    """Write voxels of shape (K, J, I) or (K, J, I, C).

    The affine is stored where it survives unchanged: in the sform when single precision holds it, else in the qform
    when that gives the same matrix back, else in the sform, rounded to single precision. A qform is set beside the
    sform where the axes are orthogonal.

    Parameters
    ----------
    vector : bool
        Whether the last axis holds components of one quantity (the fifth NIfTI dimension) or images of their own, such
        as overlapping labels (the fourth).
    synthetic : bool
        Whether it shows no patient: the header's description then says so.
    """
    import nibabel as nib

    stored = array.T if array.ndim == 3 else np.moveaxis(array, -1, 0).T
    header = nib.Nifti1Header()
    header.set_xyzt_units("mm")
    if array.ndim == 4 and vector:
        stored = stored[:, :, :, np.newaxis]
        header.set_intent("vector")
    header.set_data_dtype(stored.dtype)
    header.set_data_shape(stored.shape)
    _store_affine(header, affine)
    if synthetic:
        header["descrip"] = _MADE_UP
    # Affine None: nibabel keeps the header's matrices and codes instead of setting its own.
    nib.Nifti1Image(stored, None, header).to_filename(target)


def _store_affine(header: Any, affine: Affine) -> None:
    single = affine.astype(np.float32).astype(np.float64)
    header.set_sform(None, code=0)
    orthogonal = _set_qform(header, affine)
    if not np.array_equal(single, affine) and orthogonal and np.array_equal(header.get_best_affine(), affine):
        return
    if not orthogonal:
        header.set_qform(None, code=0)
        header["pixdim"][1:4] = np.linalg.norm(affine[:3, :3], axis=0)
    header.set_sform(affine, code="scanner")


def _set_qform(header: Any, affine: Affine) -> bool:
    """Store the nearest qform; whether it is the affine itself, to a ten-thousandth of a voxel's edge."""
    header.set_qform(affine, code="scanner", strip_shears=True)
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    return bool((np.abs(header.get_qform() - affine)[:3, :3] <= 1e-4 * edges).all())


def _synthetic(image: Any) -> tuple[str, ...]:
    """The note of an image that `write_nifti` marked."""
    described = bytes(image.header["descrip"]) if "descrip" in image.header else b""
    return (SYNTHETIC,) if _MADE_UP in described else ()


def sidecar_of(target: Path) -> Path:
    """Where the JSON file beside a NIfTI file goes: never in the place of one that somebody else has made (BIDS)."""
    name = target.name[: -len(suffix(target))]
    beside = target.with_name(f"{name}.json")
    try:
        theirs = "provenance" not in json.loads(beside.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return beside
    except (OSError, ValueError, TypeError):
        theirs = True
    return target.with_name(f"{name}.medai.json") if theirs else beside


def write_sidecar(target: Path, content: Mapping[str, object]) -> None:
    """The JSON file that says about a NIfTI file what its header has no room for."""
    target.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
