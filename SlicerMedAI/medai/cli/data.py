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
    Path | None, typer.Option("--data-root", metavar="FOLDER", help="What the paths in a data list start from.")
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


def read_data(
    data: list[Path],
    kind: str,
    root: Path | None = None,
    *,
    labels: list[str] | None = None,
    columns: list[str] | None = None,
) -> Any:
    """One data list of all that was named.

    Raises
    ------
    InputError
        When it cannot be read, or a label or column is not there.
    """
    from medai.training.data import read_data_list, renamed, together

    asked: dict[str, list[str]] = {}
    for what, title in (_pair(text, "a column", "label=Diagnosis") for text in columns or []):
        asked.setdefault(what, []).append(title)
    titles = {what: several if len(several) > 1 else several[0] for what, several in asked.items()}

    def options(path: Path) -> dict[str, Any]:
        ending = path.suffix.lower()
        if ending == ".json" and root is not None:
            return {"base_dir": root.expanduser()}
        return {**titles} if ending in (".csv", ".tsv") else {}

    read = together([read_data_list(each.expanduser(), kind, **options(each)) for each in data])
    pairs = [_pair(text, "a label", "1=tumour") for text in labels or []]
    return renamed(read, {_label(key): name for key, name in pairs}) if pairs else read


def _label(key: str) -> int | str:
    return int(key) if key.isdecimal() and len(key) < 10 else key


def _pair(text: str, what: str, example: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key.strip() or not equals:
        raise InputError(f"'{text}' does not name {what}.", "", f"Write it with =, such as {example}.")
    return key.strip(), value.strip()
