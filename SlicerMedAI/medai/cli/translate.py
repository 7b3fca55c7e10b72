"""``medai translate``."""

from __future__ import annotations

import typer

from medai.cli import options
from medai.cli.batch import Batch
from medai.cli.outcome import EXIT_CODES, guarded
from medai.cli.regions import parse_regions
from medai.cli.targets import plan
from medai.files import formats
from medai.result import Result

_HELP = """Make images of another contrast out of images, such as FLAIR out of T1.

Every INPUT is a NIfTI, NRRD, MetaImage, PNG, JPEG, TIFF or DICOM file, or a DICOM folder. The result lies on the grid
of its input. It is synthetic: it was never measured, and shows no lesion that the input does not. With several inputs
one model stays loaded for all of them; when one fails, the others go on.
"""


def command(
    inputs: options.Inputs,
    *,
    target: options.ImageFile,
    model: options.Model,
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
        parameters = {"device": device, "overlap": overlap, "region": parse_regions(region or []), "backend": backend}
        batch = Batch(
            task="translate",
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
        raise typer.Exit(batch.run(plan(inputs, target, file_format.value, writable=formats.WRITABLE_VOLUME)))


command.__doc__ = f"{_HELP}\n{EXIT_CODES}"


def _record(_: Result) -> dict[str, object]:
    return {"synthetic": True}


def _lines(_: Result) -> list[str]:
    return ["synthetic: made by a network, never measured"]
