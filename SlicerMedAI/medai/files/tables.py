"""Tables as CSV for spreadsheets and as JSON for programs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from medai.result import Provenance, Table

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_csv(target: Path, table: Table) -> None:
    """One header row, then one row per entry. UTF-8 with a byte-order mark, without which Excel garbles names."""
    with target.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(map(_harmless, table.columns))
        writer.writerows(map(_harmless, row) for row in zip(*table.columns.values(), strict=True))


def _harmless(cell: object) -> object:
    """Text that a spreadsheet would run as a formula, with an apostrophe before it, which makes it text there too.

    Names of files, series and classes are somebody else's (OWASP, CSV Injection). A sign alone and a number that was
    spelled out (-0.5) are no formulas, and a program would take the number with an apostrophe for text.
    """
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) and not _is_plain(cell) else cell


def _is_plain(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return not cell.strip("+- ")
    return True


def write_json(target: Path, table: Table, provenance: Provenance | None) -> None:
    """An object with the table's name, its rows by column title, and where it came from."""
    rows = [dict(zip(table.columns, row, strict=True)) for row in zip(*table.columns.values(), strict=True)]
    content = {"name": table.name, "rows": rows, "provenance": provenance.attributes() if provenance else {}}
    target.write_text(json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
