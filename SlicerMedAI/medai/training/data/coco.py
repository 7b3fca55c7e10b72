"""Boxes in COCO's JSON format (Lin et al. 2014, arXiv 1405.0312)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medai.errors import ReadError
from medai.files import formats
from medai.training.data.datalist import DataList
from medai.training.data.documents import read_json
from medai.training.data.item import DataItem
from medai.training.data.monai_list import leaves_folder


def read_coco(path: Path, *, images: Path | None = None) -> DataList:
    """Images with boxes.

    Parameters
    ----------
    path : Path
        The annotation file.
    images : Path, optional
        Folder of the image files. Unless given: the file's own folder, or ``images`` in it or beside it, whichever
        holds the first image.

    Returns
    -------
    DataList
        ``"box"``: one (x min, y min, x max, y max) per box, in pixels along columns and rows, where a box covers
        pixels from its minimum to just below its maximum (MONAI's ``StandardMode``, `monai.data.box_utils`). COCO
        writes (x min, y min, width, height). ``"label"``: the category of each box, numbered from 0 in order of COCO's
        category ids. Images without boxes stay: they teach what is no finding. Crowds and boxes without extent are
        left out, and a note tells their number.

    Raises
    ------
    ReadError
        When the file is not in COCO's format.
    """
    content = read_json(path)
    if not is_coco(content):
        raise _not_coco(path, "It has no 'images', 'annotations' and 'categories'.")
    try:
        categories = {int(c["id"]): str(c["name"]) for c in content["categories"]}
        pictures = {p["id"]: p for p in content["images"]}
        number = {identifier: n for n, identifier in enumerate(sorted(categories))}
        boxes, left_out = _boxes(content["annotations"], pictures, number)
        root = images or _image_folder(path, next((str(p["file_name"]) for p in pictures.values()), ""))
        items = [
            DataItem(
                formats.stem(Path(picture["file_name"])),
                {"image": (root / picture["file_name"],)},
                {"box": [box for box, _ in boxes[key]], "label": [label for _, label in boxes[key]]},
                str(picture.get("patient_id") or picture.get("patient") or ""),
            )
            for key, picture in pictures.items()
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise _not_coco(path, f"An entry of it is incomplete ({error}).") from error
    names = {number[identifier]: name for identifier, name in categories.items()}
    data = DataList(tuple(items), "detect", names, root=path.parent, name=path.stem)
    notes = [f"{left_out} boxes were left out: crowds, or without width or height."] if left_out else []
    leaving = leaves_folder(data)
    return data.with_items(data.items, *notes, *([leaving] if leaving else []))


def is_coco(content: object) -> bool:
    """Whether the content of a JSON file is in COCO's format."""
    keys = ("images", "annotations", "categories")
    return isinstance(content, Mapping) and all(isinstance(content.get(key), list) for key in keys)


def _boxes(
    annotations: list[Any], pictures: Mapping[Any, Any], number: Mapping[int, int]
) -> tuple[dict[Any, list[tuple[tuple[float, ...], int]]], int]:
    found: dict[Any, list[tuple[tuple[float, ...], int]]] = {key: [] for key in pictures}
    left_out = 0
    for annotation in annotations:
        x, y, width, height = (float(value) for value in annotation["bbox"])
        if annotation.get("iscrowd") or not (width > 0 and height > 0):
            left_out += 1
            continue
        box = (x, y, x + width, y + height)
        found[annotation["image_id"]].append((box, number[int(annotation["category_id"])]))
    return found, left_out


def _image_folder(path: Path, first: str) -> Path:
    beside = path.parent
    for place in (beside, beside / "images", beside.parent / "images", beside / path.stem, beside.parent):
        if first and (place / first).is_file():
            return place
    return beside


def _not_coco(path: Path, why: str) -> ReadError:
    return ReadError(f"'{path.name}' is not a list of boxes in COCO's format.", why, "Export the annotations again.")
