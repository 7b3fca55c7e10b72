"""Tables with a row per case."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from medai.errors import InputError
from medai.files import formats
from medai.training.data.datalist import DataList
from medai.training.data.documents import read_rows
from medai.training.data.item import DataItem, parse_source
from medai.training.data.monai_list import leaves_folder

IMAGE_TITLES = ("image", "image_path", "path", "file", "filename", "file_name")
LABEL_TITLES = ("label", "class", "target", "diagnosis", "mask", "segmentation")
PATIENT_TITLES = ("patient", "patient_id", "patient id", "subject", "subject_id", "subject id")
SPLIT_TITLES = ("split", "part", "subset")
MISSING = ("", "na", "n/a", "nan", "null", "none", "?")
"""Cells that mean "not known", in lower case."""

_SPLITS = {"train": "training", "val": "validation", "valid": "validation", "dev": "validation", "testing": "test"}


def read_csv(
    path: Path,
    *,
    image: str = "",
    label: str | Sequence[str] = "",
    patient: str = "",
    split: str = "",
    fold: str = "fold",
    values: Sequence[str] = (),
    separator: str = "",
    images: Path | None = None,
    task: str = "",
) -> DataList:
    """Cases of a CSV or TSV file.

    Parameters
    ----------
    path : Path
    image : str
        Title of the column with the image's path. The usual titles are tried unless given, as for `label`, `patient`
        and `split`.
    label : str or sequence of str
        Title of the label's column: a class by name or number, a number to predict, or the path of a label map.
        Several titles: one finding each, 0 or 1.
    patient, split, fold : str
        Titles of columns.
    values : sequence of str
        Further columns to keep, as numbers where every cell is one; all of them when there is no image column.
    separator : str
        Between several findings in one cell of the label's column (``"Effusion|Mass"``); makes the list multi-label.
    images : Path, optional
        Folder that image paths are relative to; the file's own unless given.
    task : str
        Where the labels alone do not tell; numbers with at most 20 distinct whole values are taken as classes.

    Raises
    ------
    InputError
        When a column is missing.
    """
    rows = read_rows(path)
    if not rows:
        raise InputError(f"'{path.name}' holds no cases.", "It has titles, but no rows below them.", "Export it again.")
    titles = list(rows[0])
    root = images or path.parent
    image = image or _usual(titles, IMAGE_TITLES)
    labels = [label] if isinstance(label, str) else list(label)
    labels = [title for title in labels if title] or [title for title in [_usual(titles, LABEL_TITLES)] if title]
    patient, split = patient or _usual(titles, PATIENT_TITLES), split or _usual(titles, SPLIT_TITLES)
    kept = list(values) or (
        [] if image else [title for title in titles if title not in (*labels, patient, split, fold)]
    )
    _check_titles(path, titles, [title for title in (image, *labels, patient, split, *kept) if title])
    columns = {title: column_values([row[title] for row in rows]) for title in kept}
    is_map = len(labels) == 1 and are_files([row[labels[0]] for row in rows])
    found, names = ([None] * len(rows), {}) if is_map or not labels else label_values(rows, labels, separator)
    items = []
    for number, row in enumerate(rows):
        files = {"image": (parse_source(row[image], root),)} if image and row[image] else {}
        if is_map and row[labels[0]]:
            files["label"] = (parse_source(row[labels[0]], root),)
        known = {title: column[number] for title, column in columns.items()}
        if labels and not is_map:
            known["label"] = found[number]
        part = row.get(split, "").lower()
        items.append(
            DataItem(
                formats.stem(Path(row[image])) if files else f"row {number + 2}",
                files,
                known,
                row.get(patient, ""),
                _SPLITS.get(part, part),
                int(row[fold]) if row.get(fold, "").isdecimal() and len(row[fold]) < 4 else None,
            )
        )
    multi = bool(separator) or len(labels) > 1
    kind = task or ("segment" if is_map else "classify" if names else "regress" if labels else "")
    data = DataList(tuple(items), kind, names, multi, root, path.stem)
    leaving = leaves_folder(data)
    return data.with_items(data.items, *((leaving,) if leaving else ()))


def column_values(cells: Sequence[str]) -> list[object]:
    """Cells as numbers where all known ones are, else as text; None for missing ones."""
    known = [None if cell.lower() in MISSING else cell for cell in cells]
    try:
        return [None if cell is None else _number(cell) for cell in known]
    except ValueError:
        return list(known)


def label_values(
    rows: Sequence[Mapping[str, str]], titles: Sequence[str], separator: str = "", *, classes: bool = False
) -> tuple[list[object], dict[int, str]]:
    """Label of every row, and the meaning of its values.

    Names are numbered in alphabetical order; with `separator` or several `titles`, labels are tuples of findings. With
    `classes`, numbers with decimals (stages such as 0, 0.5 and 1) are names too, in the order of their size.
    """
    if len(titles) > 1:
        columns = [column_values([row[title] for row in rows]) for title in titles]
        return [tuple(findings) for findings in zip(*columns, strict=True)], dict(enumerate(titles))
    cells = [row[titles[0]] for row in rows]
    if separator:
        return findings_of(cells, separator)
    values = column_values(cells)
    distinct = {value for value in values if value is not None}
    parts = any(isinstance(value, float) and not value.is_integer() for value in distinct)
    if any(isinstance(value, str) for value in distinct) or (classes and parts):
        ordered = sorted(distinct)  # type: ignore[type-var]  # all of them texts, or all numbers
        number = {value: n for n, value in enumerate(ordered)}
        names = {n: str(value) for n, value in enumerate(ordered)}
        return [None if value is None else number[value] for value in values], names
    if all(isinstance(value, int) for value in distinct) and len(distinct) <= 20:
        return values, {int(str(value)): str(value) for value in sorted(distinct, key=lambda v: int(str(v)))}
    return values, {}


def findings_of(
    cells: Sequence[str], separator: str, *, none: str = "", names: Sequence[str] = ()
) -> tuple[list[object], dict[int, str]]:
    """Findings named in one cell each, as tuples of 0 and 1.

    Parameters
    ----------
    none : str
        The word for "nothing found", which is no finding of its own.
    names : sequence of str
        All findings in order; those that occur, in alphabetical order, unless given.
    """
    lists = [None if cell.lower() in MISSING else [part.strip() for part in cell.split(separator)] for cell in cells]
    order = list(names) or sorted({part for parts in lists if parts for part in parts if part and part != none})
    labels: list[object] = [None if parts is None else tuple(int(name in parts) for name in order) for parts in lists]
    missing = (None,) * len(order)
    return [missing if label is None else label for label in labels], dict(enumerate(order))


def is_number(cell: str) -> bool:
    """Whether `column_values` takes a cell for a number."""
    try:
        _number(cell)
    except ValueError:
        return False
    return True


def _number(cell: str) -> int | float:
    return int(cell) if cell.lstrip("+-").isdecimal() else float(cell)


def are_files(cells: Sequence[str]) -> bool:
    """Whether what is in a column names images."""
    known = [cell for cell in cells if cell]
    return bool(known) and all(formats.suffix(Path(cell)) in formats.READABLE for cell in known)


def _usual(titles: Sequence[str], wanted: Sequence[str]) -> str:
    lower = {title.lower(): title for title in titles}
    return next((lower[name] for name in wanted if name in lower), "")


def _check_titles(path: Path, titles: Sequence[str], wanted: Sequence[str]) -> None:
    there = set(titles)
    absent = [title for title in wanted if title not in there]
    if absent or not wanted:
        raise InputError(
            f"'{os.fspath(path.name)}' has no column '{absent[0]}'."
            if absent
            else f"No column of '{path.name}' names images or labels.",
            f"Its columns are {', '.join(titles[:20]) or '(none)'}.",
            "Name the columns (image=..., label=..., patient=...).",
        )
