"""Options that several commands share."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class ImageFormat(str, Enum):
    """Endings of image files named after their inputs."""

    NII_GZ = "nii.gz"
    NII = "nii"
    NRRD = "nrrd"
    MHA = "mha"


Inputs = Annotated[list[Path], typer.Argument(metavar="INPUT", help="Image files or DICOM folders.")]
ImageFile = Annotated[
    str, typer.Option("--output", "-o", metavar="PATH", help="File (.nii.gz, .nii, .nrrd, .mha) or folder to write.")
]
Folder = Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder that the results go into.")]
Name = Annotated[str, typer.Argument(metavar="MODEL", help="Model name or bundle folder.")]
Model = Annotated[str, typer.Option("--model", "-m", help="Model name or bundle folder.")]
Series = Annotated[str | None, typer.Option(help="Series of a DICOM folder: number in its list, description or UID.")]
Region = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[NAME=]X,Y,Z,SX,SY,SZ", help="Box to look in: centre and edge lengths, RAS mm. Repeat for several."
    ),
]
Slice = Annotated[
    int | None, typer.Option("--slice", min=0, help="The one slice to look at, counted from 0; every slice by default.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
Backend = Annotated[
    str, typer.Option(help="auto (the fastest that agrees with PyTorch here), torch, openvino, onnxruntime.")
]
Overlap = Annotated[
    float | None, typer.Option(min=0, max=0.99, help="Overlap of neighbouring windows; the model's own by default.")
]
Together = Annotated[
    bool, typer.Option("--together", help="The inputs are the images of one patient, in the model's order.")
]
FileFormat = Annotated[ImageFormat, typer.Option("--format", help="Of image files in an output folder.")]
AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print JSON for programs, a line per result: files, findings, provenance, error."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and cautions only.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite/--no-clobber", help="Replace existing files, or leave such inputs out.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Print technical details of errors.")]
