"""What several commands learn from or are judged by, and how a person says what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from medai.errors import InputError

Kind = Annotated[
    str,
    typer.Option(
        "--kind",
        help="What DATA is, when it is not recognised: pairs, classes, boxes, msd, monai, csv, chestxray14, "
        "longitudinal, medmnist or coco.",
    ),
]
DataRoot = Annotated[
    Path | None,
    typer.Option("--data-root", metavar="FOLDER", help="What the paths in a data list or table start from."),
]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        metavar="LABEL=NAME",
        help="What a label of DATA, a number or a name, is to be called. Two of one name become one class; without a "
        "name, the cases of a class are left out. Repeat for several.",
    ),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="WHAT=TITLE",
        help="Title of a table's column of what (image, label, patient, split...). Repeat for several.",
    ),
]
Fold = Annotated[
    str,
    typer.Option(
        "--fold",
        metavar="N[/K]",
        help="One round of a cross-validation: part N, from 0, is for validation, all others for training. With /K, "
        "DATA is first divided into K parts by patient, always alike; else it tells the fold of every case.",
    ),
]


def read_data(
    data: list[Path],
    kind: str,
    root: Path | None = None,
    *,
    labels: list[str] | None = None,
    columns: list[str] | None = None,
    fold: str = "",
) -> Any:
    """One data list of all that was named.

    Raises
    ------
    InputError
        When it cannot be read, or a label, a column or a fold is not there.
    """
    from medai.training.data import read_data_list, renamed, together

    asked: dict[str, list[str]] = {}
    for what, title in (_pair(text, "a column", "label=Diagnosis") for text in columns or []):
        asked.setdefault(what, []).append(title)
    titles = {what: several if len(several) > 1 else several[0] for what, several in asked.items()}

    def options(path: Path) -> dict[str, Any]:
        tabular = path.suffix.lower() in (".csv", ".tsv")
        listed = tabular or path.suffix.lower() == ".json"
        start = {"base_dir": root.expanduser()} if listed and root is not None else {}
        return start | (titles if tabular else {})

    read = together([read_data_list(each.expanduser(), kind, **options(each)) for each in data])
    pairs = [_pair(text, "a label", "1=tumour") for text in labels or []]
    read = renamed(read, {_label(key): name for key, name in pairs}) if pairs else read
    return _one_round(read, fold) if fold else read


def _one_round(data: Any, fold: str) -> Any:
    from medai.training.data import assign_folds, use_fold

    number, slash, count = fold.partition("/")
    if not (number.isdecimal() and (count.isdecimal() or not slash) and len(fold) < 10):
        raise InputError(f"'{fold}' names no fold.", "", "Write it as its number, or as 0/5, the first of five.")
    return use_fold(assign_folds(data, int(count)) if slash else data, int(number))


def _label(key: str) -> int | str:
    return int(key) if key.isdecimal() and len(key) < 10 else key


def _pair(text: str, what: str, example: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key.strip() or not equals:
        raise InputError(f"'{text}' does not name {what}.", "", f"Write it with =, such as {example}.")
    return key.strip(), value.strip()
