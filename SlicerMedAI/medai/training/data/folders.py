"""Folders of images: with a label map for each, or sorted into classes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from medai.errors import InputError
from medai.files import formats
from medai.training.data.datalist import DataList
from medai.training.data.item import TEST, TRAINING, VALIDATION, DataItem

IMAGE_FOLDERS = ("images", "image", "imagesTr", "imgs", "img")
LABEL_FOLDERS = ("labels", "label", "labelsTr", "masks", "mask", "segmentations", "seg")
PART_FOLDERS = {
    "train": TRAINING,
    "training": TRAINING,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "test": TEST,
    "testing": TEST,
}

_MASK_ENDING = re.compile(r"[-_. ](?:mask|seg|segmentation|label|labels)$", re.IGNORECASE)
_CHANNEL_ENDING = re.compile(r"_\d{4}$")  # nnU-Net numbers the channels of a case
_CLASS_IN_NAME = re.compile(r"^(?P<name>[^\d]*[^\d_\-. (])[_\-. ]*\(?\d+\)?$")


def label_folder(folder: Path) -> Path | None:
    """Where the label maps of a folder of images are, when they have a folder of their own."""
    return _first(folder, LABEL_FOLDERS)


def image_folder(folder: Path) -> Path | None:
    """Where the images are, when they have a folder of their own."""
    return _first(folder, IMAGE_FOLDERS)


def image_files(folder: Path) -> list[Path]:
    """Files with an image's ending directly in a folder, by name; hidden ones (macOS leaves ``._`` files) left out."""
    return sorted(
        (
            entry
            for entry in folder.iterdir()
            if not entry.name.startswith(".") and entry.is_file() and formats.suffix(entry) in formats.READABLE
        ),
        key=lambda entry: entry.name,
    )


def read_pairs(
    folder: Path,
    *,
    task: str = "segment",
    images: str | None = None,
    labels: str | None = None,
    label_names: Mapping[int, str] | None = None,
) -> DataList:
    """Images with a label map each.

    A label map has its image's name in another folder (``images/a.png`` and ``masks/a.png``), or beside it with
    ``_mask``, ``_seg`` or ``_label`` at the end. nnU-Net's numbered channels (``a_0000.nii.gz``) are one image. Where
    names say a class (``benign_002.png``), it is kept as the value ``"class"``.

    Parameters
    ----------
    folder : Path
    task : {"segment", "classify", "detect"}
        With ``"classify"`` the class in the name becomes the label and the label map stays under the key ``"mask"``.
        With ``"detect"`` likewise; `medai.training.data.boxes.with_boxes` then makes boxes of the masks.
    images, labels : str, optional
        Names of the two folders, where they are not found by themselves.
    label_names : mapping of int to str, optional
        Meaning of the values in the label maps.

    Raises
    ------
    InputError
        When a folder is missing, holds no images, or, for classes, the names tell none.
    """
    image_place = _named(folder, images) if images else image_folder(folder) or folder
    label_place = _named(folder, labels) if labels else label_folder(folder)
    key = "label" if task == "segment" else "mask"
    cases, orphans = _pair(image_place, label_place)
    if not cases:
        raise _no_images(image_place)
    classes = classes_in_names(list(cases))
    items = [
        DataItem(
            name,
            {"image": tuple(channels), **({key: (mask,)} if mask is not None else {})},
            {"class": classes[name]} if classes else {},
        )
        for name, (channels, mask) in cases.items()
    ]
    notes = []
    alone = sum(mask is None for _, mask in cases.values())
    if alone:
        notes.append(f"{alone} of {len(cases)} images have no label map.")
    if orphans:
        notes.append(f"{len(orphans)} label maps have no image, such as '{orphans[0]}'.")
    found = DataList(tuple(items), "segment", label_names or {}, root=folder, name=folder.name, notes=tuple(notes))
    return found if task == "segment" else _by_class_value(found, task)


def read_classes(folder: Path, *, multi_channel: bool = False) -> DataList:
    """Images whose class is the name of their folder, or the beginning of their own name.

    ``train``, ``val`` and ``test`` above the class folders are taken as the official parts.

    Parameters
    ----------
    folder : Path
        ``folder/benign/1.png``, ``folder/train/benign/1.png`` or ``folder/benign_1.png``.
    multi_channel : bool
        Whether a class folder holds one folder of DICOM files per case instead of image files.

    Raises
    ------
    InputError
        When no class can be told.
    """
    parts = {
        entry: PART_FOLDERS[entry.name.lower()] for entry in _folders(folder) if entry.name.lower() in PART_FOLDERS
    }
    items = [
        DataItem(
            "/".join(file.relative_to(folder).parts[:-1]) + "/" + formats.stem(file),
            {"image": (file,)},
            {"class": place.name},
            split=split,
        )
        for top, split in (parts or {folder: ""}).items()
        for place in _folders(top)
        for file in (_folders(place) if multi_channel else image_files(place))
    ]
    if not items:
        files = image_files(image_folder(folder) or folder)
        classes = classes_in_names([formats.stem(file) for file in files])
        if not files:
            raise _no_images(folder)
        items = [
            DataItem(formats.stem(f), {"image": (f,)}, {"class": classes.get(formats.stem(f))})
            for f in files
            if classes
        ]
    return _by_class_value(DataList(tuple(items), "classify", root=folder, name=folder.name), "classify")


def classes_in_names(names: Sequence[str]) -> dict[str, str]:
    """Class by name where every name is a word and a number (``benign_002``, ``normal (3)``).

    Returns
    -------
    dict
        Empty when a name is made otherwise, or when all have the same word, which then is no class.
    """
    found = {name: match["name"] for name in names if (match := _CLASS_IN_NAME.match(name))}
    classes = set(found.values())
    return found if len(found) == len(names) and 1 < len(classes) <= len(names) / 2 else {}


def classified(data: DataList) -> DataList:
    """The list itself, unless it is of images whose names tell a class: then that is the label.

    Label maps stay under the key ``"mask"``.

    Raises
    ------
    InputError
        When nothing tells any.
    """
    if data.task != "segment" or any(item.values.get("label") is not None for item in data):
        return data
    items = [
        replace(item, files={"mask" if key == "label" else key: sources for key, sources in item.files.items()})
        for item in data
    ]
    return _by_class_value(data.with_items(items), "classify")


def _by_class_value(data: DataList, task: str) -> DataList:
    """Number the classes that the items' ``"class"`` values name."""
    names = sorted({str(item.values["class"]) for item in data if item.values.get("class") is not None})
    if len(names) < (2 if task == "classify" else 0):
        raise InputError(
            f"The images in '{data.name}' have no classes that can be told.",
            "Neither their folders nor the beginnings of their names name at least two.",
            "Put the images of each class into a folder of its name.",
        )
    numbers = {name: number for number, name in enumerate(names)}
    items = [item.with_values(label=numbers.get(str(item.values.get("class")))) for item in data]
    return DataList(tuple(items), task, dict(enumerate(names)), False, data.root, data.name, data.notes)


def _pair(images: Path, labels: Path | None) -> tuple[dict[str, tuple[list[Path], Path | None]], list[str]]:
    """Channels and label map of every case by name, and names of label maps without an image."""
    files = image_files(images)
    if labels is None:
        masks = {_MASK_ENDING.sub("", _stem(f)): f for f in files if _MASK_ENDING.search(_stem(f))}
        files = [file for file in files if file not in masks.values()]
    else:
        plain = {_stem(file) for file in files}
        masks = {
            _stem(f) if _stem(f) in plain else _MASK_ENDING.sub("", _stem(f)): f for f in image_files(labels)
        }  # a case may itself be called "left_seg"
    cases: dict[str, list[Path]] = {}
    for file in files:
        name = _stem(file)
        short = _CHANNEL_ENDING.sub("", name)
        cases.setdefault(short if name not in masks and short in masks else name, []).append(file)
    orphans = sorted(set(masks) - set(cases))
    return {name: (channels, masks.get(name)) for name, channels in cases.items()}, orphans


def _stem(path: Path) -> str:
    return formats.stem(path)


def _first(folder: Path, names: Sequence[str]) -> Path | None:
    wanted = [name.lower() for name in names]
    found = {entry.name.lower(): entry for entry in _folders(folder)}
    return next((found[name] for name in wanted if name in found), None)


def _folders(folder: Path) -> list[Path]:
    return sorted(
        (entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")),
        key=lambda entry: entry.name,
    )


def _named(folder: Path, name: str) -> Path:
    place = folder / name
    if not place.is_dir():
        raise InputError(f"'{place}' was not found.", "There is no such folder.", "Check the name of the folder.")
    return place


def _no_images(folder: Path) -> InputError:
    return InputError(
        f"'{folder.name}' holds no images.",
        f"No file in it ends in {formats.spelled(formats.READABLE)}.",
        "Choose the folder with the images.",
    )
