"""Images and segmentations of a scene, saved as cases to train on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medai.errors import InputError
from medai.files import write
from medai.result import Labelmap
from medai.training.data.datalist import DataList
from medai.training.data.item import DataItem
from medai.volume import Volume

_NOT_FOR_FILES = re.compile(r"[^\w.-]+")


def data_list_from_pairs(
    pairs: Sequence[tuple[Volume, Labelmap | None]], folder: Path, *, patients: Sequence[str] = ()
) -> DataList:
    """Save pairs, such as `medai.mrml.training_items.training_pairs` finds, and list them.

    The nodes of a scene change and go; a training reads its cases again and again, in other processes. So each pair
    becomes ``images/NAME.nii.gz`` and ``labels/NAME.nii.gz``.

    Parameters
    ----------
    pairs : sequence of (Volume, Labelmap or None)
    folder : Path
        Made when missing; must hold no cases yet.
    patients : sequence of str, optional
        One per pair.

    Returns
    -------
    DataList
        A segment's value is the same in all cases: its name's place in the order in which names are first met.

    Raises
    ------
    InputError
        When there is no pair, a labelmap lies elsewhere than its image, or segments overlap.
    WriteError
        When the folder cannot be written to.
    """
    if not pairs:
        raise InputError(
            "The scene has nothing to train on.",
            "It holds no images.",
            "Load images, and segment what is to be learnt.",
        )
    if (folder / "images").exists() or (folder / "labels").exists():
        raise InputError(
            f"'{folder.name}' already holds cases.", "They would be mixed with the new ones.", "Choose an empty folder."
        )
    names = [segment.name for _, labels in pairs if labels is not None for segment in labels.segments]
    values = {name: number for number, name in enumerate(dict.fromkeys(names), 1)}
    items = []
    taken: set[str] = set()
    for number, (image, labels) in enumerate(pairs):
        merged = None if labels is None else _merged(image, labels, values)
        name = _file_name(image.name, taken)
        files = {"image": (_saved(image, folder / "images" / f"{name}.nii.gz"),)}
        if merged is not None:
            files["label"] = (_saved(merged, folder / "labels" / f"{name}.nii.gz"),)
        items.append(DataItem(image.name, files, patient=patients[number] if patients else ""))
    meaning = {0: "background", **{value: name for name, value in values.items()}} if values else {}
    return DataList(tuple(items), "segment" if values else "", meaning, root=folder, name=folder.name)


def _merged(image: Volume, labels: Labelmap, values: dict[str, int]) -> Volume:
    """One label map with the values that all cases share."""
    array = np.zeros(labels.layers.shape[1:], np.uint8 if len(values) < 256 else np.uint16)
    for segment in labels.segments:
        mask = labels.mask(segment)
        if (array[mask] != 0).any():
            raise InputError(
                f"Segments of '{labels.name}' overlap.",
                f"'{segment.name}' shares voxels with another one, and a label map holds one value per voxel.",
                "Take the overlap away in the Segment Editor (Masking: no overlap), then try again.",
            )
        array[mask] = values[segment.name]
    merged = Volume(array, labels.affine, labels.name)
    if not merged.same_grid(image):
        raise InputError(
            f"'{labels.name}' does not lie on the voxels of '{image.name}'.",
            f"It has {merged.shape} voxels (slices, rows, columns), the image {image.shape}, or another place.",
            "Set the image as the segmentation's source geometry, then try again.",
        )
    return merged


def _saved(image: Volume, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write(image, path)
    return path


def _file_name(name: str, taken: set[str]) -> str:
    plain = _NOT_FOR_FILES.sub("_", name).strip("._") or "image"
    unique, number = plain, 1
    while unique.lower() in taken:  # Windows and macOS do not tell upper from lower case
        number += 1
        unique = f"{plain}_{number}"
    taken.add(unique.lower())
    return unique
