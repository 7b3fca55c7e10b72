"""Tables with a row per visit, as OASIS-2 has them (Marcus et al. 2010, doi 10.1162/jocn.2009.21407)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from medai.dates import NUMBER, YEAR_FIRST, dates_of
from medai.errors import InputError
from medai.training.data.csv_table import MISSING, PATIENT_TITLES, are_files, column_values, label_values
from medai.training.data.datalist import DataList
from medai.training.data.documents import column_titles, read_rows
from medai.training.data.item import DataItem

SUBJECT, VISIT, DELAY, GROUP = "Subject ID", "Visit", "MR Delay", "Group"
DATE, IMAGE, LABEL, SPLIT = "Date", "Image", "Label", "Split"
SIMULATED = "SIMULATED.txt"
"""The file beside a table that says that its visits never took place."""


def read_longitudinal(path: Path, *, images: Path | None = None, **columns: Any) -> DataList:
    """Visits of subjects in a CSV or TSV file; see `visits_of_rows` for the options.

    Parameters
    ----------
    path : Path
    images : Path, optional
        Folder that the files in the table are relative to; the table's own unless given.
    **columns
        Of `visits_of_rows`.

    Raises
    ------
    InputError
        As `visits_of_rows`.
    ReadError
        When the file cannot be read.
    """
    visits = visits_of_rows(read_rows(path), images or path.parent, path.stem, **columns)
    return replace(visits, root=path.parent)


def visits_of_rows(
    rows: Sequence[Mapping[str, str]],
    root: Path,
    table: str,
    *,
    subject: str = SUBJECT,
    visit: str = VISIT,
    delay: str = DELAY,
    group: str = GROUP,
    name: str = "MRI ID",
    date: str = DATE,
    image: str = IMAGE,
    label: str = LABEL,
    split: str = SPLIT,
    values: Sequence[str] = (),
) -> DataList:
    """Visits of subjects; `DataList.by_patient` gives each subject's in order.

    Parameters
    ----------
    rows : sequence of mapping of str to str
        Cells by the titles of their columns.
    root : Path
        Folder that the files in the table are relative to.
    table : str
        What a person calls it.
    subject, visit, delay, group, name, date, image, label, split : str
        Titles of columns, however they are capitalised: who (also called patient or subject), which visit, days since
        the first, diagnosis, name of the visit, its date (see `medai.dates`), the files of its image and label map,
        relative to the table (a label that is no file is the diagnosis), and the part that the subject belongs to
        (``"training"``, ``"validation"``, ``"test"``). All may be absent from the table; without `subject`, all visits
        are of one.
    values : sequence of str
        Columns to keep; all others unless given. Numbers where every known cell is one; missing cells become None.

    Returns
    -------
    DataList
        For the task ``"forecast"``: ``"visit"``, ``"delay"`` (days) and ``"date"``, ``"label"`` the group's number, and
        the kept columns under their titles.

    Raises
    ------
    InputError
        When there is no row or no column of subjects, dates cannot be read, or a subject has the same visit twice.
    """
    if not rows:
        raise InputError(
            f"'{table}' holds no visits.", "There is no row below its titles.", "Add a row for every visit."
        )
    titles = list(rows[0])
    called = {title.casefold(): title for title in reversed(titles)}
    subject, visit, delay, group, name, date, image, label, split = (
        title if title in titles else called.get(title.casefold(), title)
        for title in (subject, visit, delay, group, name, date, image, label, split)
    )
    if subject == SUBJECT and subject not in titles:
        subject = next((called[one] for one in PATIENT_TITLES if one in called), subject)
    if subject == SUBJECT and subject not in titles and (date in titles or delay in titles):
        rows, titles = [{subject: table, **row} for row in rows], [subject, *titles]
    absent = [title for title in (subject, *values) if title not in titles]
    if absent:
        raise InputError(
            f"'{table}' has no column '{absent[0]}'.",
            f"Its columns are {', '.join(titles[:20]) or '(none)'}.",
            f"Call the column of subjects '{SUBJECT}', and that of dates '{DATE}' (or of days since the first visit, "
            f"'{DELAY}'); in Python, their own titles can be told (subject=..., date=...).",
        )
    cells = [row[label] for row in rows if row.get(label)]
    if cells and not are_files(cells):
        group = label  # a diagnosis, as tables of cases call it
    special = (subject, visit, delay, group, name, date, image, label, split)
    kept = list(values) or [title for title in titles if title and title not in special]
    columns = {title: column_values([row[title] for row in rows]) for title in kept}
    columns.update(
        {key: column_values([row[t] for row in rows]) for key, t in (("visit", visit), ("delay", delay)) if t in titles}
    )
    notes: tuple[str, ...] = ()
    if date in titles:
        columns["date"], notes = _days([row[date] for row in rows])
    labels, names = label_values(rows, [group], classes=True) if group in titles else ([None] * len(rows), {})
    items = [
        DataItem(
            row.get(name) or f"{row[subject]} {row.get(visit) or row.get(date) or number + 1}",
            {key: (root / row[t],) for key, t in (("image", image), ("label", label)) if t != group and row.get(t)},
            values={**{title: column[number] for title, column in columns.items()}, "label": labels[number]},
            patient=row[subject],
            split=row.get(split, "").lower(),
        )
        for number, row in enumerate(rows)
    ]
    _check_visits(table, items)
    return DataList(tuple(items), "forecast", names, root=root, name=table, notes=notes)


def _days(cells: Sequence[str]) -> tuple[list[object], tuple[str, ...]]:
    """Dates as ISO 8601 has them, None where there is none, and what a person should know of how they were read."""
    known = {row: cell for row, cell in enumerate(cells) if cell.lower() not in MISSING}
    days, way = dates_of(list(known.values()), numbers=True)
    written = dict(zip(known, (day.isoformat() for day in days), strict=True))
    notes = []
    for row in list(known)[:1] if way != YEAR_FIRST else []:
        meant = "days as Excel counts them" if way == NUMBER else f"written {way}"
        notes.append(f"The dates of the table were taken for {meant}: {known[row]} is {written[row]}.")
    return [written.get(row) for row in range(len(cells))], tuple(notes)


def is_longitudinal(table: Path) -> bool:
    """Whether a CSV file has a row per visit of a subject."""
    titles = set(column_titles(table))
    return SUBJECT in titles and bool(titles & {VISIT, DELAY, DATE})


def _check_visits(table: str, items: Sequence[DataItem]) -> None:
    seen = set()
    for item in items:
        visit = (item.patient, item.values.get("visit", item.name))
        if not item.patient or visit in seen:
            raise InputError(
                f"'{table}' has a visit that cannot be placed.",
                f"'{item.name}' has no subject."
                if not item.patient
                else f"Visit {visit[1]} of {item.patient} is there twice.",
                "Correct the table.",
            )
        seen.add(visit)
