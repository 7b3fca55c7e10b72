"""``medai segment``."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from medai.api import DEFAULT_MODEL
from medai.cli import options
from medai.cli.batch import Batch
from medai.cli.outcome import EXIT_CODES, guarded
from medai.cli.regions import parse_regions
from medai.cli.targets import plan
from medai.result import Result


class Format(str, Enum):
    """Endings of files named after their inputs."""

    SEG_NRRD = "seg.nrrd"
    NII_GZ = "nii.gz"
    NII = "nii"
    NRRD = "nrrd"
    MHA = "mha"


_HELP = """Segment images.

Every INPUT is a NIfTI, NRRD, MetaImage, PNG, JPEG, TIFF or DICOM file, or a DICOM folder. The labels lie on exactly the
input's own grid. With several inputs one model stays loaded for all of them; when one fails, the others go on.
"""


def command(
    inputs: options.Inputs,
    *,
    target: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="PATH", help="File (.seg.nrrd, .nii.gz, .nii, .nrrd, .mha) or folder to write."
        ),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="Model name or bundle folder. Repeat for several of the same structures: they vote, and "
            "NAME_uncertainty tells where they disagree.",
            show_default=DEFAULT_MODEL,
        ),
    ] = None,
    series: options.Series = None,
    region: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]X,Y,Z,SX,SY,SZ",
            help="Box to look in: centre and edge lengths, RAS mm. Repeat for several; named boxes give each its own "
            "segments. 'auto' lets the model find its place, where it can.",
        ),
    ] = None,
    segment: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Segment to keep. Repeat for several; all by default.")
    ] = None,
    device: options.Device = "auto",
    overlap: options.Overlap = None,
    tta: Annotated[
        bool,
        typer.Option(
            "--tta",
            help="Test-time augmentation: mirrored images vote too, and NAME_uncertainty tells where they disagree. "
            "Takes up to eight times as long; for models trained on mirrored images.",
        ),
    ] = False,
    backend: options.Backend = "auto",
    together: options.Together = False,
    file_format: Annotated[Format, typer.Option("--format", help="Of files in an output folder.")] = Format.SEG_NRRD,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    overwrite: options.Overwrite = True,
    debug: options.Debug = False,
) -> None:
    """Replaced by `_HELP`: exit codes are part of it."""
    with guarded(debug=debug):
        tasks = plan(inputs, target, file_format.value, together=together)
        parameters = {
            "device": device,
            "overlap": overlap,
            "segments": tuple(segment) if segment else None,
            "region": parse_regions(region or []),
            "tta": tta,
            "backend": backend,
        }
        models = tuple(model or [DEFAULT_MODEL])
        batch = Batch(
            task="segment",
            models=models,
            parameters=parameters,
            record=_record,
            lines=_lines,
            series=series,
            as_json=as_json,
            quiet=quiet,
            overwrite=overwrite,
            debug=debug,
            companions=("uncertainty",) if tta or len(models) > 1 else (),
        )
        raise typer.Exit(batch.run(tasks))


command.__doc__ = f"{_HELP}\n{EXIT_CODES}"


def _record(result: Result) -> dict[str, object]:
    """A series has one entry of volumes per frame."""
    frames = [frame.labelmap.volumes_ml() for frame in result.frames]
    return {"volumes_ml": frames or result.labelmap.volumes_ml()}


def _lines(result: Result) -> list[str]:
    volumes = result.labelmap.volumes_ml()
    width = max((len(name) for name in volumes), default=0)
    return [f"{name:{width}}  {volume:10.3f} mL" for name, volume in volumes.items()]
