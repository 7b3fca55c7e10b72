"""A comparison in the new bundle: as JSON, as CSV, and in its model card."""

from __future__ import annotations

import math
from pathlib import Path

from medai.errors import WriteError
from medai.files.tables import write_csv, write_json
from medai.result import Table
from medai.training.markdown import escaped, in_code

_FOLDER = "docs"
_SCORES = (
    "Scores are those of `medai evaluate`; of a forecast the error of the next visit, in the target's unit. A "
    "generator's images are compared with those that the original makes of the same codes (SSIM, and Dice of the label "
    "maps: 1 is the same)."
)
_METHODS = {
    "quantize": "Its network has an 8-bit form beside its weights, which OpenVINO computes on a CPU (NNCF, calibrated "
    "on the data below); PyTorch, a GPU and `monai.bundle run` compute with the float weights, which are those of the "
    "original in half precision.",
    "prune": "The channels of smallest L1 norm were taken out of it, and what was left was trained against the "
    "original (Li et al., ICLR 2017).",
    "distill": "Its network has fewer channels and was trained to give what the original gives of the same input, and "
    "the references where there were any (Hinton et al., 2015).",
    "decompose": "Its convolutions are products of thinner ones (Tucker-2; Kim et al., ICLR 2016), which were trained "
    "against the original.",
}


def write_report(root: Path, table: Table) -> None:
    """``docs/compression.json`` and ``docs/compression.csv``.

    Raises
    ------
    WriteError
        When the disk is full or read-only.
    """
    try:
        (root / _FOLDER).mkdir(exist_ok=True)
        finite = {
            name: tuple(None if isinstance(value, float) and not math.isfinite(value) else value for value in values)
            for name, values in table.columns.items()
        }
        write_json(root / _FOLDER / "compression.json", Table(finite, table.name), None)
        write_csv(root / _FOLDER / "compression.csv", table)
    except OSError as error:
        raise WriteError(
            f"The comparison of '{root.name}' could not be written.",
            f"The computer reports: {error.strerror or error}.",
            "Free some space; the original model is as it was.",
            details=repr(error),
        ) from error


def card(old: str, table: Table, *, source: str, method: str, command: str, data: str, notes: tuple[str, ...]) -> str:
    """The original's model card under what was made of it.

    Parameters
    ----------
    old : str
        The original's card.
    table : Table
        From `medai.training.compression.comparison.table`.
    source : str
        Name of the original.
    method, command, data : str
    notes : tuple of str
        What a person should know of the run.
    """
    said = "".join(f"\n- {escaped(note)}" for note in notes)
    source, data = in_code(source), escaped(data)
    return (
        f"# Made of `{source}`\n\n{_METHODS[method]}\n\n```\n{command}\n```\n\nData: {data}.\n{said}\n\n"
        f"{markdown(table)}\n\nTimes are medians of alternating turns in one process on one computer; memory is that "
        "of a process of its own, beyond what the libraries take; intervals are of 95 %, that of the difference is "
        f"paired by patient. {_SCORES}\n\nWhat follows is the card of `{source}`; its training and its scores are "
        f"those of the original.\n\n---\n\n{old.strip()}\n"
    )


def markdown(table: Table) -> str:
    """The table for a card."""
    head = "| quantity | before | after | after / before | difference |\n|---|---|---|---|---|\n"
    return head + "\n".join("| " + " | ".join(map(escaped, line)) + " |" for line in lines(table))


def lines(table: Table) -> list[tuple[str, str, str, str, str]]:
    """Rows for a person: quantity with its unit, before, after, their ratio, and the difference with its interval."""
    found = []
    for row in zip(*table.columns.values(), strict=True):
        named = dict(zip(table.columns, row, strict=True))
        unit = f" ({named['Unit']})" if named["Unit"] else ""
        found.append(
            (
                f"{named['Quantity']}{unit}",
                _with(named, "Before"),
                _with(named, "After"),
                _number(named["After / before"]),
                _with(named, "Difference", sign="+"),
            )
        )
    return found


def _with(row: dict[str, object], name: str, sign: str = "") -> str:
    low, high = row[f"{name}, low"], row[f"{name}, high"]
    value = _number(row[name], sign)
    return f"{value} ({_number(low, sign)} to {_number(high, sign)})" if _number(low) else value


def _number(value: object, sign: str = "") -> str:
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return ""
    return f"{value:{sign},.0f}" if abs(value) >= 1000 else f"{value:{sign}.4g}"
