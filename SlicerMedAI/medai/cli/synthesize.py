"""``medai synthesize``."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from medai.cli import options
from medai.cli.outcome import EXIT_CODES, errors, guarded, output
from medai.cli.progress import Listener
from medai.files.folders import make_folder
from medai.result import Labelmap, Result

_HELP = """Make synthetic images.

MODEL makes them out of random numbers: image N of a seed is always the same. Each is written as soon as it is made,
with its labels as NAME_seg where the model makes labels. Every file says that it is synthetic: in its name, in its
header, and as DICOM in the fields that the standard has for it.
"""


class SyntheticFormat(str, Enum):
    """Endings of files, and DICOM, of which each image is a folder (its labels are a DICOM segmentation beside it)."""

    NII_GZ = "nii.gz"
    NII = "nii"
    NRRD = "nrrd"
    MHA = "mha"
    DICOM = "dicom"


def command(
    model: options.Name,
    *,
    target: options.Folder,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many images.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Another seed makes other images.")] = 0,
    first: Annotated[int, typer.Option(min=0, help="Number of the first image.")] = 0,
    condition: Annotated[
        str | None, typer.Option(metavar="NAME", help="What all of them are to show; by default they take turns.")
    ] = None,
    walk: Annotated[
        tuple[int, int] | None,
        typer.Option(metavar="SEED SEED", help="In place of --seed: images on the way from one seed's to another's."),
    ] = None,
    device: options.Device = "auto",
    file_format: Annotated[SyntheticFormat, typer.Option("--format", help="Of the files.")] = SyntheticFormat.NII_GZ,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    overwrite: options.Overwrite = True,
    debug: options.Debug = False,
) -> None:
    """Replaced by `_HELP`: exit codes are part of it."""
    with guarded(debug=debug):
        from medai.api import prepare_synthesis, synthesize
        from medai.api.running import of_many
        from medai.bundles.description import describe
        from medai.dicom.segmentation import check_installed

        asked: dict[str, Any] = {"seed": seed, "condition": condition, "walk": walk, "device": device}
        asked |= {"steps": first + count} if walk else {}
        job = prepare_synthesis(model, **asked)  # a wrong name or condition is told before a folder is made
        if file_format is SyntheticFormat.DICOM and describe(job.bundle).segments:
            check_installed()
        make_folder(target)
        with Listener(errors(), quiet=quiet) as listener:
            listener.begin(Path(model).name, "Starting")
            for done, number in enumerate(range(first, first + count)):
                name = f"{_stem(model, seed, condition, walk)}_{number:04d}"
                image = target / (name if file_format is SyntheticFormat.DICOM else f"{name}.{file_format.value}")
                if image.exists() and not overwrite:
                    listener.say(f"{image} exists already and is kept")
                    continue
                (result,) = synthesize(model, first=number, on_progress=of_many(listener, done, count), **asked)
                files = _write(result, image)
                if as_json:
                    about = {"output": [str(file) for file in files], "name": result.volume.name}
                    output().print(json.dumps(about | {"provenance": result.provenance.attributes()}))
                elif not quiet:
                    output().print(f"{result.volume.name}: {image}")


command.__doc__ = f"{_HELP}\n{EXIT_CODES}"


def _stem(model: str, seed: int, condition: str | None, walk: tuple[int, int] | None) -> str:
    """Of the files: other images than those of another call into the same folder have other names."""
    shown = "".join(letter if letter.isalnum() else "_" for letter in (condition or "").casefold())
    source = f"walk{walk[0]}to{walk[1]}" if walk else f"seed{seed}"
    return "_".join(filter(None, ("synthetic", Path(model).name, shown, source)))


def _write(result: Result, image: Path) -> tuple[Path, ...]:
    """The image, and its labels beside it."""
    from medai.dicom import write_segmentation, write_synthetic
    from medai.files import formats, write
    from medai.files.writing import companion

    about, ending = result.provenance, formats.suffix(image)
    found = [item for item in result.items if isinstance(item, Labelmap)]
    if ending not in formats.WRITABLE_VOLUME:
        slices = write_synthetic(result.volume, image, about)
        place = image.with_name(f"{image.name}_seg.dcm")
        return (*slices, *(file for item in found for file in write_segmentation(item, place, about, slices)))
    place = image.with_name(f"{formats.stem(image)}.seg.nrrd") if ending == ".nrrd" else companion(image, "seg")
    files = write(result.volume, image, provenance=about)
    return (*files, *(file for item in found for file in write(item, place, provenance=about)))
