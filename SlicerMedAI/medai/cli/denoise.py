"""``medai denoise``."""

from __future__ import annotations

from typing import Annotated

import typer

from medai.cli import options
from medai.cli.batch import Batch
from medai.cli.outcome import EXIT_CODES, guarded
from medai.cli.regions import parse_regions
from medai.cli.targets import plan
from medai.files import formats
from medai.result import Result

_HELP = """Take the noise out of images.

Every INPUT is a NIfTI, NRRD, MetaImage, PNG, JPEG, TIFF or DICOM file, or a DICOM folder. The result has exactly the
grid, the type and the intensity scale of its input. With several inputs one model stays loaded for all of them; when
one fails, the others go on.
"""


def command(
    inputs: options.Inputs,
    *,
    target: options.ImageFile,
    model: options.Model,
    strength: Annotated[
        float, typer.Option(min=0, max=1, help="How much of the noise to take away: 0 none, 1 all of it.")
    ] = 1.0,
    noise: Annotated[bool, typer.Option("--noise", help="Write the removed noise too, as NAME_noise.")] = False,
    series: options.Series = None,
    region: options.Region = None,
    device: options.Device = "auto",
    overlap: options.Overlap = None,
    backend: options.Backend = "auto",
    file_format: options.FileFormat = options.ImageFormat.NII_GZ,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    overwrite: options.Overwrite = True,
    debug: options.Debug = False,
) -> None:
    """Replaced by `_HELP`: exit codes are part of it."""
    with guarded(debug=debug):
        parameters = {
            "device": device,
            "strength": strength,
            "noise": noise,
            "overlap": overlap,
            "region": parse_regions(region or []),
            "backend": backend,
        }
        batch = Batch(
            task="denoise",
            models=(model,),
            parameters=parameters,
            record=_record,
            lines=_lines,
            series=series,
            as_json=as_json,
            quiet=quiet,
            overwrite=overwrite,
            debug=debug,
            companions=("noise",) if noise else (),
        )
        raise typer.Exit(batch.run(plan(inputs, target, file_format.value, writable=formats.WRITABLE_VOLUME)))


command.__doc__ = f"{_HELP}\n{EXIT_CODES}"


def _record(result: Result) -> dict[str, object]:
    """A series has one entry per frame."""
    return {"noise": [dict(zip(("sd", "percent_of_range"), amount, strict=True)) for amount in _amounts(result)]}


def _lines(result: Result) -> list[str]:
    return [f"removed noise of SD {sd:.4g}, {percent:.2f} % of the intensity range" for sd, percent in _amounts(result)]


def _amounts(result: Result) -> list[tuple[float, float]]:
    _, deviations, shares = result.table.columns.values()
    return list(zip(deviations, shares, strict=True))  # type: ignore[arg-type]  # numbers
