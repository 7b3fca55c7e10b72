"""``medai forecast``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import typer

from medai.cli import options
from medai.cli.outcome import EXIT_CODES, ExitCode, errors, guarded, output
from medai.cli.progress import Listener
from medai.cli.train import rows
from medai.errors import InputError
from medai.files.folders import make_folder
from medai.result import Labelmap, Plot, Result, Table
from medai.volume import Volume

_LONGEST = 60  # letters, of up to four bytes; file systems hold names of 255 bytes

_HELP = """Forecast what will be measured of a patient, from two or more earlier visits.

INPUT is a table (.csv, .tsv) with a row per visit of one or several subjects (columns 'Subject ID', 'Date' best as
2024-03-31 or 'MR Delay' in days, and what was measured, as the model calls it); or a folder of dated studies; or one
image file per visit. The output folder gets forecast.csv and, as far as there are, progression.csv (classes with
probabilities), measured.csv (what it was made of), left_out.csv (subjects with one visit only; the exit code is 3
then), a plot of each subject (with matplotlib), how far the patient had moved between images, and what has changed.
"""


def command(
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT", help="A table, a folder, or one image per visit.")],
    *,
    target: options.Folder,
    model: options.Model,
    at: Annotated[
        list[str] | None,
        typer.Option(metavar="DATE|DAYS", help="When: 2027-01-01, or days after the last visit. Repeat for several."),
    ] = None,
    dates: Annotated[
        list[str] | None, typer.Option("--date", metavar="DATE", help="Of every image, in order, if files do not tell.")
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option("--value", metavar="NAME=V1,V2,...", help="What was measured at each image; empty where not."),
    ] = None,
    confidence: Annotated[float, typer.Option(min=0.01, max=0.99, help="Probability of the interval.")] = 0.9,
    change: Annotated[
        bool, typer.Option("--change", help="Also write what has changed from the first image to the last.")
    ] = False,
    device: options.Device = "auto",
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Replaced by `_HELP`: exit codes are part of it."""
    with guarded(debug=debug):
        from medai.api import forecast

        given: Any = inputs[0] if len(inputs) == 1 else inputs
        with Listener(errors(), quiet=quiet) as listener:
            listener.begin(inputs[0].name)
            result = forecast(
                given,
                model,
                at=[_moment(text) for text in at] if at else None,
                dates=dates,
                values=_values(values or []),
                confidence=confidence,
                change=change,
                device=device,
                on_progress=listener,
            )
        files = _write(result, target)
        tables = {item.name: rows(item) for item in result.items if isinstance(item, Table)}
        left = tables.get("left out", [])
        if as_json:
            record = {"output": [str(file) for file in files], "forecast": rows(result.table), "left_out": left}
            provenance = {"provenance": result.provenance.attributes(), "notes": list(result.provenance.notes)}
            output().print(json.dumps(record | provenance, default=str))
        elif not quiet:
            _print(result, target, listener.unread(result.provenance.notes))
        if left:
            raise typer.Exit(ExitCode.INPUT)


command.__doc__ = f"{_HELP}\n{EXIT_CODES}"


def _moment(text: str) -> str | float:
    return float(text) if text.removeprefix("-").replace(".", "", 1).isdecimal() and len(text) < 7 else text


def _values(given: Sequence[str]) -> dict[str, tuple[float | None, ...]] | None:
    found = {}
    for text in given:
        name, equals, numbers = text.partition("=")
        try:
            found[name.strip()] = tuple(float(one) if one.strip() else None for one in numbers.split(","))
        except ValueError:
            equals = ""
        if not equals:
            raise InputError(f"'{text}' names no values.", "", "Write it as NAME=3.1,,2.9 with one number per visit.")
    return found or None


def _write(result: Result, target: Path) -> list[Path]:
    """Every item of the result, each in a file of its own."""
    from importlib.util import find_spec

    from medai.files import write
    from medai.files.plots import write_png
    from medai.files.writing import write_together

    make_folder(target)
    files: list[Path] = []
    taken: set[str] = set()
    for item in result.items:
        stem = _stem(getattr(item, "name", "result"), taken)
        if isinstance(item, Plot):
            if find_spec("matplotlib") is not None:
                place = target / f"{stem}.png"
                files += write_together(place, {place: partial(write_png, plot=item)})
            continue
        ending = {Table: ".csv", Labelmap: ".seg.nrrd", Volume: ".nii.gz"}.get(type(item))
        if ending is not None:
            files += write(item, target / f"{stem}{ending}", provenance=result.provenance)
    return files


def _stem(name: str, taken: set[str]) -> str:
    """A file's name that every file system can hold, and no other item has."""
    plain = "".join(letter if letter.isalnum() else "_" for letter in name)[:_LONGEST]
    stem = next(one for n in count(1) if (one := plain if n == 1 else f"{plain}_{n}").casefold() not in taken)
    taken.add(stem.casefold())
    return stem


def _print(result: Result, target: Path, notes: Iterable[str]) -> None:
    console = output()
    console.print(f"{target}")
    for row in rows(result.table):
        forecast, low, high = (float(str(row[title])) for title in list(row)[4:7])
        console.print(
            f"  {row['Subject']}, {row['Measurement']} {row['Date']}: {forecast:.4g} ({low:.4g} to {high:.4g})"
        )
    for table in result.items:
        if isinstance(table, Table) and table.name == "progression":
            for row in rows(table):
                console.print(f"  {row['Subject']}: {row['Class']} {float(str(row['Probability'])):.2f}")
    for note in notes:
        console.print(f"  Note: {note}")
