"""``medai explain``."""

from __future__ import annotations

from typing import Annotated

import typer

from medai.cli import options
from medai.cli.batch import Batch
from medai.cli.outcome import EXIT_CODES, guarded
from medai.cli.probabilities import lines, record
from medai.cli.regions import parse_regions
from medai.cli.targets import plan
from medai.files import formats

_HELP = """Show what in images speaks for what a classifier finds.

Every INPUT is a NIfTI, NRRD, MetaImage, PNG, JPEG, TIFF or DICOM file, or a DICOM folder. The result is a volume from
0 to 1 on exactly the input's own grid. With several inputs one model stays loaded for all of them; when one fails, the
others go on.
"""


def command(
    inputs: options.Inputs,
    *,
    target: options.ImageFile,
    model: options.Model,
    method: Annotated[str, typer.Option(help="grad_cam, grad_cam_pp or occlusion.")] = "grad_cam",
    target_class: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="Class to explain; the model's finding by default.")
    ] = None,
    layer: Annotated[str | None, typer.Option(metavar="NAME", help="Of the network, for Grad-CAM.")] = None,
    steps: Annotated[int | None, typer.Option(help="Places along each axis, for occlusion.")] = None,
    series: options.Series = None,
    region: options.Region = None,
    slice_index: options.Slice = None,
    device: options.Device = "auto",
    backend: options.Backend = "auto",
    together: options.Together = False,
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
            "method": method,
            "target_class": target_class,
            "layer": layer,
            "steps": steps,
            "region": parse_regions(region or []),
            "slice_index": slice_index,
            "backend": backend,
        }
        batch = Batch(
            task="explain",
            models=(model,),
            parameters=parameters,
            record=record,
            lines=lines,
            series=series,
            as_json=as_json,
            quiet=quiet,
            overwrite=overwrite,
            debug=debug,
        )
        tasks = plan(inputs, target, file_format.value, together=together, writable=formats.WRITABLE_VOLUME)
        raise typer.Exit(batch.run(tasks))


command.__doc__ = f"{_HELP}\n{EXIT_CODES}"
