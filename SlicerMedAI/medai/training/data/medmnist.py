"""MedMNIST ``.npz`` files, 2D and 3D, grey or colour (Yang et al. 2023, doi 10.1038/s41597-022-01721-8)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from medai.errors import InputError, ReadError
from medai.training.data.datalist import DataList
from medai.training.data.item import TEST, TRAINING, VALIDATION, ArrayReference, DataItem
from medai.training.data.stacked import StoredArray, load_array, stored_arrays

_PARTS = {"train": TRAINING, "val": VALIDATION, "test": TEST}


def read_medmnist(path: Path, *, label_names: Mapping[int, str] | None = None) -> DataList:
    """Cases of a MedMNIST file, with its official parts; nothing is copied or written.

    Parameters
    ----------
    path : Path
        Holds ``train_images`` (N, rows, columns[, 3]) or (N, slices, rows, columns) and ``train_labels`` (N, L), and
        the same for ``val`` and ``test``; at least one part.
    label_names : mapping of int to str, optional
        Meaning of the classes, or of the L findings.

    Returns
    -------
    DataList
        Labels with L > 1 are findings (`DataList.multi_label`). Labels may be missing for a part.

    Raises
    ------
    ReadError
        When the file holds Python objects, is damaged, or images and labels differ in number.
    """
    arrays = stored_arrays(path)
    parts = [part for part in _PARTS if f"{part}_images" in arrays]
    if not parts:
        raise InputError(
            f"'{path.name}' is not a MedMNIST file.",
            f"It holds the arrays {', '.join(sorted(arrays)[:6]) or '(none)'}; 'train_images' is needed.",
            "Choose a MedMNIST .npz file, or give the images as files.",
        )
    items: list[DataItem] = []
    width = 1
    for part in parts:
        images, stored = arrays[f"{part}_images"], arrays.get(f"{part}_labels")
        _check(path, part, images, stored)
        labels = None if stored is None else load_array(path, stored.name)
        labels = None if labels is None else labels.reshape(len(labels), -1)
        if labels is not None:
            width = max(width, labels.shape[1])
        for index in range(images.shape[0]):
            reference = ArrayReference(path, images.name, index)
            label = None if labels is None else _label(labels[index])
            items.append(DataItem(f"{part} {index}", {"image": (reference,)}, {"label": label}, split=_PARTS[part]))
    return DataList(tuple(items), "classify", label_names or {}, width > 1, path.parent, path.stem)


def _check(path: Path, part: str, images: StoredArray, labels: StoredArray | None) -> None:
    if len(images.shape) not in (3, 4, 5) or (labels is not None and labels.shape[:1] != images.shape[:1]):
        shape = "no labels" if labels is None else f"labels of shape {labels.shape}"
        raise ReadError(
            f"'{path.name}' does not fit together.",
            f"Its part '{part}' has images of shape {images.shape} and {shape}.",
            "Download or copy the file again.",
        )


def _label(values: np.ndarray[tuple[int], np.dtype[np.generic]]) -> object:
    plain = tuple(values.tolist())
    return plain[0] if len(plain) == 1 else plain
