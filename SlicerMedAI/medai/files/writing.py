"""One way out: results into files, whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medai.errors import MedAIError, WriteError
from medai.files import formats
from medai.result import Boxes, Codes, Item, Labelmap, Provenance, Result, Segment, Table
from medai.volume import SYNTHETIC, SYNTHETIC_KEY, Volume

Writers = Mapping[Path, Callable[[Path], None]]


def write(
    item: Item | Result,
    path: str | os.PathLike[str],
    *,
    provenance: Provenance | None = None,
    keep: Collection[Path] = (),
) -> tuple[Path, ...]:
    """Write a result, or one item of it.

    Parameters
    ----------
    item : Result, Labelmap, Volume, Table or Codes
        Of a `Result` the first item that the format can hold is written, and beside a labelmap or volume the further
        volumes that came with it, such as an uncertainty (``NAME_uncertainty.nrrd``), as beside a table that is the
        result itself. A Result with frames becomes one
        file per frame, numbered before the ending (``NAME_000.seg.nrrd``); of its tables and codes, those of all frames
        are written.
    path : path
        The ending chooses the format: ``.seg.nrrd`` (Slicer segmentation), ``.nii``, ``.nii.gz``, ``.nrrd``, ``.mha``
        for labelmaps and volumes, ``.csv`` and ``.json`` for tables, ``.npz`` and ``.npy`` for codes, ``.mrk.json``
        for boxes. An existing file is replaced only once the new one is complete; of a link, the file that it leads to.
    provenance : Provenance, optional
        Goes into the header (NIfTI has no room for it: into ``NAME.json`` beside it, or ``NAME.medai.json`` where
        somebody else's file has that name); a `Result` brings its own.
    keep : collection of Path
        Files that must not be replaced, such as the image that the result was made from.

    Returns
    -------
    tuple of Path
        The files written.

    Raises
    ------
    WriteError
        When the format is unknown or cannot hold the item, the folder is missing or read-only, the disk is full, or a
        file in `keep` is in the way. Then no new file is left, and what was there before still is.
    """
    target = Path(path)
    of_all_frames = formats.suffix(target) in (*formats.TABLE, *formats.ARRAY)
    if isinstance(item, Result) and item.frames and not (of_all_frames and item.items):
        targets = [numbered(target, n) for n in range(len(item.frames))]
        pairs = zip(item.frames, targets, strict=True)
        return tuple(file for frame, to in pairs for file in write(frame, to, keep=keep))
    if isinstance(item, Result):
        writers = _result_writers(item, target, provenance or item.provenance)
    else:
        writers = _writers(item, target, provenance)
    with _explained(target):
        for place in writers:
            _check_kept(place, keep)
    return write_together(target, writers)


def numbered(target: Path, frame: int) -> Path:
    """File of one frame of a series: ``scan.seg.nrrd`` becomes ``scan_007.seg.nrrd``."""
    ending = formats.suffix(target)
    return target.with_name(f"{target.name[: len(target.name) - len(ending)]}_{frame:03d}{ending}")


def companion(target: Path, kind: str, name: str = "") -> Path:
    """File of a volume that comes with a result, such as its uncertainty: ``scan_uncertainty.nrrd``.

    Parameters
    ----------
    target : Path
        The result's file.
    kind : str
        What the volume shows.
    name : str
        In place of the result's own name before the underscore.
    """
    ending = formats.suffix(target)
    plain = ".nrrd" if ending in (*formats.SEGMENTATION, *formats.TABLE) else ending
    return target.with_name(f"{name or formats.stem(target)}_{kind}{plain}")


def check_target(
    path: str | os.PathLike[str], *, companions: Collection[str] = (), keep: Collection[Path] = ()
) -> None:
    """Refuse, before a long job begins, a place where `write` would fail after it.

    Parameters
    ----------
    path : path
        The result's file.
    companions : collection of str
        What further volumes will come with it, see `companion`.
    keep : collection of Path
        As for `write`.

    Raises
    ------
    WriteError
        When the format is unknown, the folder missing or read-only, or something is in the way.
    """
    target = Path(path)
    if formats.suffix(target) not in (*formats.WRITABLE_IMAGE, *formats.TABLE, *formats.ARRAY, *formats.MARKUPS):
        raise _unfit(target, f"There is no format for files ending in '{target.suffix}'.")
    for file in (target, *(companion(target, kind) for kind in companions)):
        with _explained(file):
            place = _behind_links(file)
            _check_kept(place, keep)
            _check_replaceable(place)
            with tempfile.TemporaryFile(prefix=".medai-", dir=place.parent):
                pass


def _fitting(result: Result, target: Path) -> Item:
    """The first item of `result` that the format of `target` can hold."""
    ending = formats.suffix(target)
    kinds: tuple[type, ...] = (Labelmap, Volume)
    if ending in (*formats.TABLE, *formats.ARRAY, *formats.MARKUPS):
        kinds = (Table,) if ending in formats.TABLE else (Codes,) if ending in formats.ARRAY else (Boxes,)
    for kind in kinds:
        for item in result.items:
            if isinstance(item, kind):
                return item
    raise _unfit(target, "The result holds nothing of that kind.")


def _result_writers(result: Result, target: Path, provenance: Provenance) -> Writers:
    """The item that fits, and the volumes that came with it, each in a file named after what it shows."""
    main = _fitting(result, target)
    writers = dict(_writers(main, target, provenance))
    if not (isinstance(main, (Labelmap, Volume)) or main is result.items[0]):
        return writers
    # Of a table over frames, those of every frame.
    parts = [(target, result), *((numbered(target, n), frame) for n, frame in enumerate(result.frames))]
    for place, part in parts:
        for volume in part.items:
            if isinstance(volume, Volume) and volume is not main:
                kind = volume.name.rpartition(" ")[2]
                writers.update(_writers(volume, companion(target, kind, formats.stem(place)), provenance))
    return writers


def _writers(item: Item, target: Path, provenance: Provenance | None) -> Writers:
    """What to write where: the file itself, and what has no room in it."""
    ending = formats.suffix(target)
    keys = provenance.attributes() if provenance else {}
    if isinstance(item, Table) and ending in formats.TABLE:
        from medai.files.tables import write_csv, write_json

        table = item
        if ending == ".csv":
            return {target: lambda file: write_csv(file, table)}
        return {target: lambda file: write_json(file, table, provenance)}
    if isinstance(item, Boxes) and ending in formats.MARKUPS:
        from medai.files.markups import write_markups

        boxes = item
        return {target: lambda file: write_markups(file, boxes, provenance)}
    if isinstance(item, Codes) and ending in formats.ARRAY:
        from medai.files.arrays import write_codes

        codes = item
        return {target: lambda file: write_codes(file, codes)}
    if isinstance(item, Labelmap) and ending in formats.WRITABLE_IMAGE:
        return _labelmap_writers(item, target, ending, keys)
    if isinstance(item, Volume) and ending in formats.WRITABLE_IMAGE and ending not in formats.SEGMENTATION:
        return _array_writers(item.array, item, target, keys)
    raise _unfit(target, f"A {type(item).__name__.lower()} cannot be stored in a file ending in '{ending}'.")


def _unfit(target: Path, why: str) -> WriteError:
    return WriteError(
        f"The result cannot be written to '{target.name}'.",
        why,
        f"Use {formats.spelled(formats.WRITABLE_IMAGE)} for images and {formats.spelled(formats.TABLE)} for tables.",
    )


def _labelmap_writers(labelmap: Labelmap, target: Path, ending: str, keys: Mapping[str, str]) -> Writers:
    layers = labelmap.layers
    array: NDArray[np.generic] = layers[0] if len(layers) == 1 else np.moveaxis(layers, 0, -1)
    if ending in formats.SEGMENTATION:
        from medai.files.nrrd import segmentation_keys, write_nrrd

        fields = {**segmentation_keys(labelmap), **keys}
        smallest = _storable(array)
        return {target: lambda f: write_nrrd(f, smallest, labelmap.affine, keys=fields, component_kind="list")}
    names = {"segments": [_described(segment) for segment in labelmap.segments]}
    return _array_writers(array, labelmap, target, keys, names)


def _array_writers(
    array: NDArray[np.generic],
    item: Labelmap | Volume,
    target: Path,
    keys: Mapping[str, str],
    sidecar: Mapping[str, object] | None = None,
) -> Writers:
    stored, affine, ending = _storable(array), item.affine, formats.suffix(target)
    if isinstance(item, Volume) and SYNTHETIC in item.notes:
        keys = {SYNTHETIC_KEY: "yes", **keys}
    made_up = SYNTHETIC_KEY in keys
    if ending in formats.NIFTI:
        from medai.files.nifti import sidecar_of, write_nifti, write_sidecar

        content = {"name": item.name, **(sidecar or {}), "provenance": dict(keys)}
        vector = isinstance(item, Volume)
        files: dict[Path, Callable[[Path], None]] = {
            target: lambda f: write_nifti(f, stored, affine, vector=vector, synthetic=made_up)
        }
        if sidecar or keys:
            files[sidecar_of(target)] = lambda f: write_sidecar(f, content)
        return files
    extra = {**keys, **({"MedAI.Segments": json.dumps(sidecar["segments"])} if sidecar else {})}
    if ending == ".mha":
        from medai.files.metaimage import write_metaimage

        return {target: lambda f: write_metaimage(f, stored, affine, keys=extra)}
    from medai.files.nrrd import write_nrrd

    return {target: lambda f: write_nrrd(f, stored, affine, keys=extra)}


def _storable(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """The same values in a type that every format and reader knows: no bool, no half floats, no needless 64 bits."""
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind == "f":
        return array.astype(np.float32 if array.dtype.itemsize <= 4 else np.float64, copy=False)
    if array.dtype.itemsize == 8:
        low, high = int(array.min()), int(array.max())
        for smaller in (np.uint8, np.uint16, np.int16, np.int32, np.uint32):
            if np.iinfo(smaller).min <= low and high <= np.iinfo(smaller).max:
                return array.astype(smaller)
        return array.astype(np.float64)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _described(segment: Segment) -> dict[str, object]:
    codes = {"category": segment.category, "type": segment.type, "modifier": segment.modifier}
    return {
        "name": segment.name,
        "value": segment.value,
        "layer": segment.layer,
        "color": list(segment.color),
        **{key: [code.scheme, code.value, code.meaning] for key, code in codes.items() if code},
    }


def write_together(target: Path, writers: Writers) -> tuple[Path, ...]:
    """Write every file beside its place under another name, then put all of them in place.

    The folder for them is made in the target's own folder: only within one file system is a rename all or nothing.
    """
    with _explained(target), ExitStack() as stack:
        ready = {}
        for to, writer in writers.items():
            place = _behind_links(to)
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=".medai-", dir=place.parent))
            ready[place] = Path(folder) / to.name
            writer(ready[place])
        for place in ready:
            _check_replaceable(place)
        for place, file in ready.items():
            file.replace(place)
    return tuple(writers)


def _behind_links(target: Path) -> Path:
    """Where a link leads, whether or not there is a file yet: a rename would put the file in the link's own place."""
    return Path(os.path.realpath(target)) if target.is_symlink() else target


def _check_kept(place: Path, keep: Collection[Path]) -> None:
    if place.exists() and any(kept.exists() and kept.samefile(place) for kept in keep):
        raise WriteError(
            f"The result was not written to '{place}'.",
            "That file is the image itself, which the result would replace.",
            "Choose another file name or folder.",
        )


def _check_replaceable(target: Path) -> None:
    """A rename would silently replace a file that somebody marked read-only, or fail obscurely on a folder."""
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    if target.exists() and not target.stat().st_mode & stat.S_IWUSR:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))


@contextmanager
def _explained(target: Path) -> Iterator[None]:
    try:
        yield
    except MedAIError:
        raise
    except OSError as error:
        raise _from_os(target, error) from error


def _from_os(target: Path, error: OSError) -> WriteError:
    folder = _behind_links(target).parent.resolve()
    what = f"The result could not be written to '{target}'."
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        free = shutil.disk_usage(folder).free / 2**20
        return WriteError(
            what,
            f"The disk is full or a size limit is reached ({free:.0f} MB free).",
            "Free some space or choose another folder, then try again.",
            details=repr(error),
        )
    if error.errno in (errno.ENOENT, errno.ENOTDIR) and not folder.is_dir():
        return WriteError(
            what,
            f"There is no folder '{folder}'.",
            "Create the folder first, or choose another one.",
            details=repr(error),
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT):  # the last of a folder in /proc
        return WriteError(
            what,
            "The folder or file is read-only.",
            "Choose a folder of your own, or ask for permission to write there.",
            details=repr(error),
        )
    if error.errno == errno.EISDIR:
        return WriteError(what, "A folder has that name.", "Choose another file name.", details=repr(error))
    return WriteError(
        what,
        f"The computer reports: {error.strerror or error}.",
        "Check that the disk or network drive is connected, then try again.",
        details=repr(error),
    )
