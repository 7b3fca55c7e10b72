"""``medai classify``."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from medai.cli import options
from medai.cli.batch import Batch
from medai.cli.outcome import EXIT_CODES, guarded
from medai.cli.probabilities import lines, record
from medai.cli.regions import parse_regions
from medai.cli.targets import plan
from medai.files import formats


class Format(str, Enum):
    """Endings of files named after their inputs."""

    CSV = "csv"
    JSON = "json"


_HELP = """Tell what images show, with probabilities.

Every INPUT is a NIfTI, NRRD, MetaImage, PNG, JPEG, TIFF or DICOM file, or a DICOM folder. A model of slices classifies
every slice of a stack. With several inputs one model stays loaded for all of them; when one fails, the others go on.
"""


def command(
    inputs: options.Inputs,
    *,
    target: Annotated[
        str, typer.Option("--output", "-o", metavar="PATH", help="Table (.csv, .json) or folder to write.")
    ],
    model: Annotated[
        list[str],
        typer.Option(
            "--model",
            "-m",
            help="Model name or bundle folder. Repeat for several of the same classes: the mean is taken.",
        ),
    ],
    series: options.Series = None,
    region: options.Region = None,
    slice_index: options.Slice = None,
    explain: Annotated[
        str | None,
        typer.Option(
            metavar="METHOD",
            help="Also write a volume of what speaks for the finding, by grad_cam, grad_cam_pp or occlusion.",
        ),
    ] = None,
    device: options.Device = "auto",
    tta: Annotated[
        bool,
        typer.Option("--tta", help="The mean over mirrored images too; for models trained on mirrored images."),
    ] = False,
    backend: options.Backend = "auto",
    together: options.Together = False,
    file_format: Annotated[Format, typer.Option("--format", help="Of files in an output folder.")] = Format.CSV,
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
            "slice_index": slice_index,
            "tta": tta,
            "explain": explain,
            "backend": backend,
        }
        batch = Batch(
            task="classify",
            models=tuple(model),
            parameters=parameters,
            record=record,
            lines=lines,
            series=series,
            as_json=as_json,
            quiet=quiet,
            overwrite=overwrite,
            debug=debug,
        )
        tasks = plan(inputs, target, file_format.value, together=together, writable=formats.TABLE)
        raise typer.Exit(batch.run(tasks))


command.__doc__ = f"{_HELP}\n{EXIT_CODES}"
