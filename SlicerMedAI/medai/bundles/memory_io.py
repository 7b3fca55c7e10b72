"""MONAI's LoadImaged and SaveImaged without files.

A bundle's own transforms stay where they are with all their options; only the last step, bytes on a disk, is replaced.
What MONAI receives is what its `NibabelReader` would have made of the same image in a NIfTI file, down to the rounding
of the affine to the 32-bit floats such a file holds: that is what makes labels equal, voxel for voxel, to those of
``python -m monai.bundle run``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import nibabel
import numpy as np
from monai.data import FolderLayout
from monai.data.image_reader import NibabelReader
from monai.data.image_writer import NibabelWriter
from monai.data.utils import correct_nifti_header_if_necessary, to_affine_nd
from monai.transforms import LoadImage, LoadImaged, SaveImage, SaveImaged, WriteFileMapping, WriteFileMappingd
from monai.transforms.io.array import SUPPORTED_READERS
from monai.utils import convert_data_type, ensure_tuple, get_equivalent_dtype
from numpy.typing import NDArray

from medai.volume import Affine, Volume

# MONAI warns for every image that NVIDIA's decoder of DICOM is not there. Nothing is decoded here.
logging.getLogger("monai.data.nvimgcodec_pydicom_plugin").setLevel(logging.ERROR)

# NIfTI-1 keeps dimensions in 16-bit signed integers; whole-slide images are larger.
_NIFTI1_MAX_DIM = 32767
_LOADERS = {"loadimage", "loadimaged", "loadimagedict"}
_SAVERS = {"saveimage", "saveimaged", "saveimagedict"}
_LISTS = {"writefilemapping", "writefilemappingd", "writefilemappingdict"}
_LISTS |= {"saveclassificationd", "saveclassificationdict"}


@dataclass(frozen=True, eq=False)
class Saved:
    """What a SaveImaged would have written.

    Parameters
    ----------
    key : str
        Key of the data dictionary it was saved from.
    array : ndarray, shape (I, J, K, C)
        In the dtype of the file.
    affine : ndarray, shape (4, 4)
        (i, j, k, 1) to RAS mm.
    """

    key: str
    array: NDArray[np.generic]
    affine: Affine


def nifti_image(volume: Volume, *, planar: bool) -> Any:
    """The image as a NIfTI file would hold it, sharing the voxels' memory.

    Parameters
    ----------
    volume : Volume
        (K, J, I[, C]).
    planar : bool
        Drop the slice axis of a single slice: (I, J) instead of (I, J, 1), as a 2D network needs. Components are left
        out of account here: a two-dimensional colour image has no NIfTI form and keeps its slice axis.
    """
    array = _file_voxels(volume.array)
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    array = np.moveaxis(array, (0, 1, 2), (2, 1, 0))
    if planar and array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    kind = nibabel.Nifti1Image if max(array.shape) <= _NIFTI1_MAX_DIM else nibabel.Nifti2Image
    header = kind(array, volume.affine, dtype=array.dtype).header
    # The affine a reader finds in the file is the header's, rounded to float32.
    return kind(array, header.get_best_affine(), header)


def _file_voxels(array: NDArray[np.generic]) -> NDArray[Any]:
    """The same voxels in a type that NIfTI knows, a view where it can be."""
    if array.dtype.kind == "b":
        return array.view(np.uint8)
    if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        return array.astype(np.float32 if array.dtype.itemsize == 2 else np.float64)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


class MemoryReader(NibabelReader):  # type: ignore[misc]
    """MONAI's NIfTI reader on images that were never files.

    Parameters
    ----------
    shelf : mapping of str to Volume
        The images by the name that stands for each in the data dictionary; read at every call, so it may change.
    planar : bool
        See `nifti_image`.
    options_of : object
        The reader the bundle asked for; its ``channel_dim``, ``as_closest_canonical`` and ``squeeze_non_spatial_dims``
        are honoured.
    loader_dtype : dtype or None
        What the loader converts voxels to.
    """

    def __init__(self, shelf: Mapping[str, Volume], *, planar: bool, options_of: object, loader_dtype: Any) -> None:
        super().__init__()
        self.channel_dim = getattr(options_of, "channel_dim", None)
        self.as_closest_canonical = getattr(options_of, "as_closest_canonical", False)
        self.squeeze_non_spatial_dims = getattr(options_of, "squeeze_non_spatial_dims", False)
        self.shelf = shelf
        self.planar = planar
        self.loader_dtype = loader_dtype

    def verify_suffix(self, filename: object) -> bool:
        return all(f"{name}" in self.shelf for name in ensure_tuple(filename))

    def read(self, data: Sequence[str] | str, **_: object) -> Any:
        self.filenames = ensure_tuple(data)
        images = [
            correct_nifti_header_if_necessary(nifti_image(self.shelf[f"{name}"], planar=self.planar))
            for name in self.filenames
        ]
        return images if len(images) > 1 else images[0]

    def get_data(self, img: Any) -> tuple[NDArray[Any], dict[str, Any]]:
        array, meta = super().get_data(img)
        first = ensure_tuple(img)[0]
        if self.planar and len(first.shape) == 4 and first.shape[2] == 1:
            # A colour picture as MONAI's PILReader would give it: (I, J, C).
            array, meta["spatial_shape"] = array[:, :, 0], meta["spatial_shape"][:2]
        return array, meta

    def _get_array_data(self, img: Any, filename: object) -> NDArray[Any]:
        array = super()._get_array_data(img, filename)
        cast = self.loader_dtype is not None and get_equivalent_dtype(self.loader_dtype, np.ndarray) != array.dtype
        # In a file's own order, because sums over voxels round differently in another. And without a cast MONAI would
        # work on the caller's own memory, where some transforms work in place.
        return np.asfortranarray(array) if cast else np.array(array, order="F", copy=True)


class MemoryWriter(NibabelWriter):  # type: ignore[misc]
    """MONAI's NIfTI writer up to the point where bytes would reach a disk."""

    def __init__(self, output_dtype: Any = np.float32, *, sink: Callable[[Any, Any], None], **options: Any) -> None:
        super().__init__(output_dtype=output_dtype, **options)
        self.sink = sink
        self.scale = options.get("scale")

    def set_metadata(self, meta_dict: Mapping[str, Any] | None, resample: bool = True, **options: Any) -> None:
        if resample:
            super().set_metadata(meta_dict, resample=resample, **options)
        else:
            self.affine = self.get_meta_info(meta_dict)[1]

    def write(self, filename: object, verbose: bool = False, **_: object) -> None:  # noqa: ARG002 - MONAI's signature
        array = convert_data_type(self.data_obj, np.ndarray)[0]
        if self.scale and np.any(array % 1):
            # Pictures from 0 to 1, as MONAI's PILWriter scales them. Labels, which it would scale too, stay labels.
            array = np.clip(array, 0, 1) * self.scale
        if self.output_dtype is not None:
            array = array.astype(get_equivalent_dtype(self.output_dtype, np.ndarray), copy=False)
        affine = np.eye(4) if self.affine is None else convert_data_type(self.affine, np.ndarray)[0]
        self.sink(array, to_affine_nd(r=3, affine=affine))


def leaves(transform: object) -> Iterator[object]:
    """Every single transform inside nested Compose-like ones, in order."""
    inner = getattr(transform, "transforms", None)
    if inner is not None:
        for part in inner:
            yield from leaves(part)
    elif transform is not None:
        yield transform


def without_file_formats(config: object) -> object:
    """The same configuration, whose loaders and savers ask for no file format's own library and write no files.

    Parameters
    ----------
    config : object
        Plain content of a JSON or YAML file; it is not changed.
    """
    if isinstance(config, list):
        return [without_file_formats(part) for part in config]
    if not isinstance(config, dict):
        return config
    plain = {key: without_file_formats(value) for key, value in config.items()}
    target = str(plain.get("_target_", "")).rpartition(".")[2].lower()
    if target in _LOADERS and plain.get("reader") is not None:
        plain["reader"] = "NibabelReader"
    if target in _SAVERS:
        # Those at the end of the postprocessing are given a writer of ours; one hidden elsewhere writes nothing.
        plain["writer"] = _NoWriter
        plain["folder_layout"] = FolderLayout(output_dir="", makedirs=False)
    if target in _LISTS:
        keys = {} if target == "writefilemapping" else {"keys": plain.get("keys", "image"), "allow_missing_keys": True}
        return {"_target_": "Identityd" if keys else "Identity", **keys}
    return plain


_readers = threading.Lock()
_put_aside: list[dict[str, Any]] = []


@contextmanager
def without_unpickling() -> Iterator[None]:
    """While a bundle is built, MONAI's loaders do without their reader for NumPy files, which can unpickle code.

    Every loader registers all readers that MONAI knows. The ones in a bundle's preprocessing read from memory; one
    hidden elsewhere in its configuration must not read a file of the bundle's choice in a way that runs code.
    Several threads may be at it, since images are prepared while others are computed: the last one puts it back.
    """
    with _readers:
        _put_aside.append(dict(SUPPORTED_READERS))
        SUPPORTED_READERS.pop("numpyreader", None)
    try:
        yield
    finally:
        with _readers:
            known = _put_aside.pop()
            if not _put_aside:  # what the first one found
                SUPPORTED_READERS.clear()
                SUPPORTED_READERS.update(known)


def read_from_memory(transform: object, shelf: Mapping[str, Volume], *, planar: bool) -> tuple[str, ...]:
    """Let every LoadImaged inside `transform` read from `shelf`; the keys they load, in order."""
    keys: list[str] = []
    for leaf in leaves(transform):
        if not isinstance(leaf, (LoadImaged, LoadImage)):
            continue
        # MONAI offers no public way to a dictionary loader's options.
        loader = leaf._loader if isinstance(leaf, LoadImaged) else leaf
        chosen = loader.readers[-1]
        if loader.auto_select:
            chosen = next((r for r in loader.readers[::-1] if isinstance(r, NibabelReader)), chosen)
        # An inference may be described with its reference labels beside it; without them it is the same inference.
        leaf.allow_missing_keys = True
        leaf.register(MemoryReader(shelf, planar=planar, options_of=chosen, loader_dtype=loader.dtype))
        # A name on the shelf is no path: nothing may be expanded or completed in it.
        loader.expanduser = False
        keys += [str(key) for key in getattr(leaf, "keys", ()) if str(key) not in keys]
    return tuple(keys)


def write_to_memory(transform: object, saved: list[Saved]) -> bool:
    """Let every SaveImaged inside `transform` append to `saved`; whether there is one."""
    found = False
    for leaf in leaves(transform):
        if isinstance(leaf, (SaveImaged, SaveImage)):
            found = True
            saver = leaf.saver if isinstance(leaf, SaveImaged) else leaf
            leaf.allow_missing_keys = True
            keys = tuple(str(key) for key in getattr(leaf, "keys", ("pred",)))
            saver.writers = (partial(MemoryWriter, sink=_Sink(saved, keys)),)
            # The bundle's own layout makes its folders as soon as it is asked for a name.
            saver.folder_layout = FolderLayout(output_dir="", makedirs=False)
        elif isinstance(leaf, (WriteFileMapping, WriteFileMappingd)):
            mapping = leaf.mapping if isinstance(leaf, WriteFileMappingd) else leaf
            mapping.__class__ = _NoFileMapping
    return found


class _NoWriter(NibabelWriter):  # type: ignore[misc]
    """Writes nothing."""

    def write(self, filename: object, verbose: bool = False, **_: object) -> None:
        """Let the image go."""


class _NoFileMapping(WriteFileMapping):  # type: ignore[misc]
    """There are no files whose names could be mapped."""

    def __call__(self, img: Any) -> Any:
        return img


class _Sink:
    """Names what arrives after the keys of its SaveImaged, which come one after the other, image after image."""

    def __init__(self, saved: list[Saved], keys: tuple[str, ...]) -> None:
        self.saved = saved
        self.keys = keys
        self.count = 0

    def __call__(self, array: NDArray[Any], affine: Affine) -> None:
        # Trailing axes of one may have been squeezed; NIfTI's order is always i, j, k, components.
        shape = array.shape + (1,) * (4 - array.ndim)
        key = self.keys[self.count % len(self.keys)]
        self.count += 1
        self.saved.append(Saved(key, array.reshape(shape), np.asarray(affine, dtype=np.float64)))
