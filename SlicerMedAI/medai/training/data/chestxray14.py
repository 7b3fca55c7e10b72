"""NIH ChestX-ray14 (Wang et al. 2017, arXiv 1705.02315)."""

from __future__ import annotations

from pathlib import Path

from medai.errors import InputError
from medai.training.data.csv_table import column_values, findings_of
from medai.training.data.datalist import DataList
from medai.training.data.documents import column_titles, read_lines, read_rows
from medai.training.data.item import TEST, TRAINING, DataItem

FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
)
TABLE = "Data_Entry_2017.csv"
TRAINING_LIST, TEST_LIST = "train_val_list.txt", "test_list.txt"
_NEEDED = ("Image Index", "Finding Labels", "Patient ID")


def read_chestxray14(path: Path, *, images: Path | None = None, only_present: bool = False) -> DataList:
    """The data set's table, with the official training and test lists when these are beside it.

    Parameters
    ----------
    path : Path
        ``Data_Entry_2017.csv`` (or ``..._v2020.csv``), or its folder. Images are looked for in the folder and in its
        ``images`` and ``images_001/images`` ... ``images_012/images``, as the archives unpack.
    images : Path, optional
        In place of that folder.
    only_present : bool
        Leave out images that are not there, for a part of the archives.

    Returns
    -------
    DataList
        Multi-label, in the order of `FINDINGS`; "No Finding" is all zeros. ``"age"``, ``"sex"``, ``"view"`` as values.

    Raises
    ------
    InputError
        When the table lacks a column.
    """
    table = path if path.is_file() else next(iter(sorted(path.glob("Data_Entry_2017*.csv"))), path / TABLE)
    folder = table.parent
    rows = read_rows(table)
    absent = [title for title in _NEEDED if rows and title not in rows[0]]
    if absent or not rows:
        raise InputError(
            f"'{table.name}' is not the table of ChestX-ray14.",
            f"It has no column '{absent[0]}'." if absent else "It has no rows.",
            f"Choose the data set's own {TABLE}.",
        )
    labels, names = findings_of([row["Finding Labels"] for row in rows], "|", none="No Finding", names=FINDINGS)
    unknown = sorted(
        {part for row in rows for part in row["Finding Labels"].split("|")} - {*FINDINGS, "No Finding", ""}
    )
    ages = column_values([row.get("Patient Age", "") for row in rows])
    split = _official(folder)
    folder = images or folder
    places = _places(folder)
    items = [
        DataItem(
            Path(row["Image Index"]).stem,
            {"image": (places.get(row["Image Index"], folder / "images" / row["Image Index"]),)},
            {
                "label": label,
                "age": age,
                "sex": row.get("Patient Gender") or row.get("Patient Sex") or None,
                "view": row.get("View Position") or None,
            },
            row["Patient ID"],
            split.get(row["Image Index"], ""),
        )
        for row, label, age in zip(rows, labels, ages, strict=True)
        if not only_present or row["Image Index"] in places
    ]
    notes = [f"Findings that ChestX-ray14 does not list were left out: {', '.join(unknown[:5])}."] if unknown else []
    undecided = sum(not item.split for item in items)
    if split and undecided:
        notes.append(f"{undecided} of {len(items)} images are in neither official list.")
    return DataList(tuple(items), "classify", names, True, folder, "ChestX-ray14", tuple(notes))


def is_chestxray14(table: Path) -> bool:
    """Whether a CSV file has this data set's columns."""
    return set(_NEEDED) <= set(column_titles(table))


def _official(folder: Path) -> dict[str, str]:
    parts = {}
    for name, part in ((TRAINING_LIST, TRAINING), (TEST_LIST, TEST)):
        if (folder / name).is_file():
            parts.update(dict.fromkeys(read_lines(folder / name), part))
    return parts


def _places(folder: Path) -> dict[str, Path]:
    """Where each picture is, by file name; one listing per folder instead of one look per row."""
    folders = [folder, folder / "images", *sorted(folder.glob("images_*/images")), *sorted(folder.glob("images_*"))]
    return {file.name: file for place in folders if place.is_dir() for file in sorted(place.glob("*.png"))}
