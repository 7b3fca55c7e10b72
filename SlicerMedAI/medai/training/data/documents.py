"""JSON and CSV files that somebody else wrote: read with limits, and with errors that a person understands."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from medai.errors import ReadError

_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")

MOST_BYTES = 1 << 28
"""256 MB; the list of all of ChestX-ray14 has 8 MB, COCO's largest annotation file about that of this limit."""


def read_json(path: Path) -> Any:
    """Content of a JSON file.

    Raises
    ------
    ReadError
        When it is missing, larger than `MOST_BYTES`, no JSON, or nested too deeply to be honest.
    """
    text = _text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        place = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else "its structure"
        raise ReadError(
            f"'{path.name}' cannot be understood.",
            f"It is not valid JSON ({place}).",
            "Export the list again, or correct the file in a text editor.",
            details=repr(error),
        ) from error


def read_lines(path: Path) -> list[str]:
    """Lines of a text file that hold something, without the space around them."""
    return [line.strip() for line in _text(path).splitlines() if line.strip()]


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV or TSV file by column title; cells are text without the space around them.

    The separator (comma, semicolon, tab) is the one that the title row holds most of. Between semicolons, a number may
    have a decimal comma (3,41), as spreadsheets write it in much of Europe; here it gets a point. A row that is too
    short has empty cells at its end.

    Raises
    ------
    ReadError
        When the file is missing, larger than `MOST_BYTES`, has no titles, two columns of the same title, or a row with
        more cells than there are titles: with decimal commas between commas, 3,41 would be taken for 3.
    """
    try:
        titles, rows = _table(io.StringIO(_text(path), newline=""))
    except csv.Error as error:
        raise ReadError(
            f"'{path.name}' cannot be read as a table.",
            f"A row is not as a CSV file has them: {error}.",
            "Save the table again as CSV (UTF-8).",
        ) from error
    twice = sorted(title for title, times in Counter(titles).items() if title and times > 1)
    if not any(titles) or twice:
        raise ReadError(
            f"'{path.name}' cannot be read as a table.",
            f"Two columns have the title '{twice[0]}'." if twice else "It has no row of column titles.",
            "Give every column a title of its own in the first row.",
        )
    longer = next((row for row in rows if any(row[len(titles) :])), None)
    if longer is not None:
        raise ReadError(
            f"'{path.name}' cannot be read as a table.",
            f"The row that begins with '{', '.join(longer[:3])}' has more cells than there are titles.",
            "Write numbers with a decimal point, or put semicolons between the cells, and give every column a title.",
        )
    return [dict(zip(titles, [*row, *([""] * (len(titles) - len(row)))], strict=False)) for row in rows]


def column_titles(path: Path) -> tuple[str, ...]:
    """Titles of a CSV or TSV file's columns, reading no further than the first line."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        titles, _ = _table(iter([file.readline(1 << 16)]))
    return tuple(titles)


def _table(lines: Iterator[str]) -> tuple[list[str], list[list[str]]]:
    first = next(lines, "")
    separator = max(",;\t", key=first.count)
    titles = [cell.strip() for cell in next(csv.reader([first], delimiter=separator), [])]
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator)]
    if separator == ";":
        rows = [[cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell for cell in row] for row in rows]
    return titles, [row for row in rows if any(row)]


def _text(path: Path) -> str:
    try:
        size = path.stat().st_size
        if not path.is_file() or size > MOST_BYTES:
            raise ReadError(
                f"'{path.name}' cannot be read as a list of cases.",
                "It is no ordinary file." if not path.is_file() else f"It has {size / 2**20:.0f} MB of text.",
                "Check that this is the right file.",
            )
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReadError(
            f"'{path.name}' cannot be read as text.",
            "It is not in UTF-8.",
            "Save it again as UTF-8 (Excel: 'CSV UTF-8').",
        ) from error
    except OSError as error:
        raise ReadError(
            f"'{path}' cannot be opened.",
            f"The computer reports: {error.strerror or error}.",
            "Check the name and where the file is.",
            details=repr(error),
        ) from error
