"""One way in: whatever a person has becomes a `DataList`."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from medai.errors import InputError, ReadError
from medai.training.data.boxes import with_boxes
from medai.training.data.chestxray14 import TABLE, is_chestxray14, read_chestxray14
from medai.training.data.coco import is_coco, read_coco
from medai.training.data.csv_table import read_csv
from medai.training.data.datalist import DataList
from medai.training.data.documents import read_json
from medai.training.data.folders import image_files, image_folder, label_folder, read_classes, read_pairs
from medai.training.data.longitudinal import is_longitudinal, read_longitudinal
from medai.training.data.medmnist import read_medmnist
from medai.training.data.monai_list import is_decathlon, is_monai_list, read_monai_list


def _read_decathlon(path: Path, *, task: str = "segment", base_dir: Path | None = None) -> DataList:
    return read_monai_list(path / "dataset.json" if path.is_dir() else path, task=task, base_dir=base_dir)


def _read_lesions(
    folder: Path,
    *,
    images: str | None = None,
    labels: str | None = None,
    label_names: Mapping[int, str] | None = None,
    smallest_mm: float = 0.0,
    smallest_voxels: int = 1,
    by_value: bool = False,
) -> DataList:
    task = "segment" if by_value else "detect"
    data = read_pairs(folder, task=task, images=images, labels=labels, label_names=label_names)
    return with_boxes(data, smallest_mm=smallest_mm, smallest_voxels=smallest_voxels, by_value=by_value)


KINDS: dict[str, tuple[str, Callable[..., DataList]]] = {
    "pairs": ("a folder of images with label maps, or of images alone", read_pairs),
    "classes": ("images whose folder or name tells their class", read_classes),
    "boxes": ("a folder of images with masks, turned into boxes", _read_lesions),
    "msd": ("the dataset.json of a Medical Segmentation Decathlon task", _read_decathlon),
    "monai": ("a MONAI data list", read_monai_list),
    "csv": ("a table with a row per case", read_csv),
    "chestxray14": ("the table of NIH ChestX-ray14", read_chestxray14),
    "longitudinal": ("a table with a row per visit", read_longitudinal),
    "medmnist": ("a MedMNIST file", read_medmnist),
    "coco": ("boxes in COCO's format", read_coco),
}
"""What can be read, by name: in words, and by which function. Options go to that function."""
_OF_IMAGES = ("csv", "chestxray14", "longitudinal", "coco")
"""Kinds that name images only, and call their folder so."""


def read_data_list(source: str | os.PathLike[str], kind: str = "auto", **options: Any) -> DataList:
    """Read a data list.

    Parameters
    ----------
    source : path
        A folder, or a ``.json``, ``.csv``, ``.tsv`` or ``.npz`` file.
    kind : str
        ``"auto"``, or one of `KINDS`. ``"boxes"`` is never chosen by itself: the same folder is read as ``"pairs"``.
    **options
        Of the function that reads this kind; and ``base_dir``, what the paths in a list or table start from, whatever
        that function calls it.

    Returns
    -------
    DataList
        Its first note says what the source was taken for.

    Raises
    ------
    ReadError
        When the source is missing or damaged.
    InputError
        When it is nothing that is known here, or an option is not one of this kind.
    """
    path = Path(source).absolute()  # whoever reads the images may work in another folder
    if not path.exists():
        raise ReadError(f"'{source}' was not found.", "There is no such file or folder.", "Check the name.")
    chosen = recognise(path) if kind == "auto" else kind
    if chosen not in KINDS:
        raise InputError(f"There is no kind of data list named '{chosen}'.", "", f"Use one of {', '.join(KINDS)}.")
    words, function = KINDS[chosen]
    signature = inspect.signature(function)
    if options.get("base_dir") is not None:
        root = "images" if chosen in _OF_IMAGES else "base_dir"
        options[root] = Path(options.pop("base_dir")).absolute()
    try:
        signature.bind(path, **options)
    except TypeError as error:
        raise InputError(
            f"'{path.name}' was taken for {words}, and cannot be read with these options.",
            f"{str(error).capitalize()}.",
            f"The options are: {', '.join(list(signature.parameters)[1:])}.",
        ) from error
    try:
        data = function(path, **options)
    except OSError as error:
        raise ReadError(
            f"'{path}' cannot be read.", f"The computer reports: {error.strerror or error}.", "Check the disk."
        ) from error
    if not data.items:
        raise InputError(f"'{path.name}' holds no cases.", f"It was taken for {words}.", "Check that it is complete.")
    said = f"Taken for {words}: {len(data)} cases." if kind == "auto" else f"Read as {words}: {len(data)} cases."
    return DataList(
        data.items, data.task, data.label_names, data.multi_label, data.root, data.name, (said, *data.notes)
    )


def recognise(path: Path) -> str:
    """Which of `KINDS` a file or folder is.

    Raises
    ------
    InputError
        When it is none of them.
    """
    if path.is_dir():
        return _kind_of_folder(path)
    ending = path.suffix.lower()
    if ending == ".npz":
        return "medmnist"
    if ending in (".csv", ".tsv"):
        return "chestxray14" if is_chestxray14(path) else "longitudinal" if is_longitudinal(path) else "csv"
    if ending == ".json":
        content = read_json(path)
        if is_coco(content):
            return "coco"
        if is_monai_list(content):
            return "msd" if path.name == "dataset.json" and is_decathlon(content) else "monai"
    scene = ending in (".mrml", ".mrb")
    raise InputError(
        f"'{path.name}' is no list of cases that is known here.",
        "It is a scene." if scene else f"Known are: {'; '.join(words for words, _ in KINDS.values())}.",
        "Open it, and use medai.mrml.training_items.training_pairs on the scene."
        if scene
        else "Convert it to one of these, or say which it is (kind=...).",
    )


def _kind_of_folder(folder: Path) -> str:
    if (folder / "dataset.json").is_file() and is_monai_list(read_json(folder / "dataset.json")):
        return "msd"
    if (folder / TABLE).is_file() or any(folder.glob("Data_Entry_2017*.csv")):
        return "chestxray14"
    if label_folder(folder) is not None and image_folder(folder) is not None:
        return "pairs"
    if not image_files(image_folder(folder) or folder):
        return "classes"
    data = read_pairs(folder)
    named = any(item.values.get("class") is not None for item in data)
    return "classes" if named and not any("label" in item.files for item in data) else "pairs"
