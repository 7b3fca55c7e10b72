"""Probabilities, as people and programs read them."""

from __future__ import annotations

from medai.result import Result, Table

Row = dict[str, object]


def record(result: Result) -> dict[str, object]:
    """The table's rows by column title."""
    return {"probabilities": _rows(result.table)}


def lines(result: Result) -> list[str]:
    """``malignant 0.83  (above 0.41: positive)`` for each class; or one line for each slice or region."""
    rows = _rows(result.table)
    if "Class" not in result.table.columns:
        return [_line(row) for row in rows]
    width = max(len(str(row["Class"])) for row in rows)
    return [f"{row['Class']:{width}} {row['Probability']:.2f}{_decided(row)}" for row in rows]


def _rows(table: Table) -> list[Row]:
    return [dict(zip(table.columns, row, strict=True)) for row in zip(*table.columns.values(), strict=True)]


def _decided(row: Row) -> str:
    decision, threshold = row["Decision"], row.get("Threshold", "")
    if not isinstance(threshold, float):
        return f"  ({decision})" if decision else ""
    side = "above" if decision == "positive" else "below"
    return f"  ({side} {threshold:.2g}: {decision})"


def _line(row: Row) -> str:
    where = [_place(title, row[title]) for title in ("Region", "Slice") if row.get(title, "") != ""]
    own = ("Region", "Slice", "Decision")
    shown = (title for title in row if title not in own and not title.endswith("spread (SD)"))
    numbers = [f"{title} {row[title]:.2f}" for title in shown]
    return f"{', '.join(where)}: {', '.join(numbers)}  ({row['Decision']})"


def _place(title: str, value: object) -> str:
    """``slice 3``, ``region Left``; of what sums slices up, ``mean of all slices``."""
    return f"{value} slices" if title == "Slice" and isinstance(value, str) else f"{title.lower()} {value}"
