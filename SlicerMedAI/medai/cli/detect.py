"""``medai detect``."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from medai.cli import options
from medai.cli.batch import Batch
from medai.cli.outcome import EXIT_CODES, guarded
from medai.cli.regions import parse_regions
from medai.cli.targets import plan
from medai.files import formats
from medai.result import Boxes, Result, Table


class Format(str, Enum):
    """Endings of files named after their inputs."""

    MRK_JSON = "mrk.json"
    CSV = "csv"
    JSON = "json"


_HELP = """Find things in images, and draw a box around each.

Every INPUT is a NIfTI, NRRD, MetaImage, PNG, JPEG, TIFF or DICOM file, or a DICOM folder. Boxes lie in the patient, in
millimetres; Slicer opens .mrk.json files. With several inputs one model stays loaded for all of them; when one fails,
the others go on.
"""


def command(
    inputs: options.Inputs,
    *,
    target: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="PATH", help="Slicer markups (.mrk.json), table (.csv, .json) or folder to write."
        ),
    ],
    model: options.Model,
    series: options.Series = None,
    region: options.Region = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Score from which on something is a finding; the model's own by default."),
    ] = None,
    class_name: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="NAME", help="Class to look for. Repeat for several; all by default."),
    ] = None,
    largest_overlap: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Of two boxes, above which the weaker one is left out (0.5 by default)."),
    ] = None,
    device: options.Device = "auto",
    together: options.Together = False,
    file_format: Annotated[Format, typer.Option("--format", help="Of files in an output folder.")] = Format.MRK_JSON,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    overwrite: options.Overwrite = True,
    debug: options.Debug = False,
) -> None:
    """Replaced by `_HELP`: exit codes are part of it."""
    with guarded(debug=debug):
        parameters = {
            "device": device,
            "region": parse_regions(region or []),
            "threshold": threshold,
            "classes": tuple(class_name) if class_name else None,
            "largest_overlap": largest_overlap,
        }
        batch = Batch(
            task="detect",
            models=(model,),
            parameters=parameters,
            record=_record,
            lines=_lines,
            series=series,
            as_json=as_json,
            quiet=quiet,
            overwrite=overwrite,
            debug=debug,
        )
        endings = (*formats.MARKUPS, *formats.TABLE)
        raise typer.Exit(batch.run(plan(inputs, target, file_format.value, together=together, writable=endings)))


command.__doc__ = f"{_HELP}\n{EXIT_CODES}"


def _record(result: Result) -> dict[str, object]:
    """A series has one list of findings per frame."""
    frames = [_rows(frame.table) for frame in result.frames]
    return {"findings": frames or _rows(result.table)}


def _rows(table: Table) -> list[dict[str, object]]:
    return [dict(zip(table.columns, row, strict=True)) for row in zip(*table.columns.values(), strict=True)]


def _lines(result: Result) -> list[str]:
    found: Boxes = result.boxes
    if not found.regions:
        return ["nothing found"]
    return [
        f"{name}  {score:.2f}  at {_spelled(region.center)} mm (RAS), {_spelled(region.size)} mm large"
        for name, score, region in zip(found.classes, found.scores, found.regions, strict=True)
    ]


def _spelled(numbers: object) -> str:
    return ", ".join(f"{number:.1f}" for number in numbers)  # type: ignore[attr-defined]  # three numbers
