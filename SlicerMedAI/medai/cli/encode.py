"""``medai encode``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from medai.cli import options
from medai.cli.batch import Batch
from medai.cli.outcome import EXIT_CODES, guarded, output
from medai.cli.regions import parse_regions
from medai.cli.targets import Task, plan
from medai.files import formats
from medai.files.folders import make_folder
from medai.result import Result
from medai.volume import Volume

_CODES = (*formats.TABLE, *formats.ARRAY)
_HELP = """Describe images by the codes of an autoencoder.

Every INPUT is a NIfTI, NRRD, MetaImage, PNG, JPEG, TIFF or DICOM file, or a DICOM folder. The output has one row per
image: its compression, how like the image its reconstruction is, and the features of its code. A folder gets codes.csv
and codes.npz. When one input fails, the others go on.
"""


def command(
    inputs: options.Inputs,
    *,
    target: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="PATH", help="Table (.csv, .json), arrays (.npz, .npy) or folder to write."
        ),
    ],
    model: options.Model,
    reconstruct: Annotated[
        bool, typer.Option("--reconstruct", help="Write the image that each code stands for, as NAME_reconstruction.")
    ] = False,
    anomaly: Annotated[
        bool, typer.Option("--anomaly", help="Write how far that is from the image, as NAME_anomaly.")
    ] = False,
    series: options.Series = None,
    region: options.Region = None,
    device: options.Device = "auto",
    overlap: options.Overlap = None,
    file_format: options.FileFormat = options.ImageFormat.NII_GZ,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Replaced by `_HELP`: exit codes are part of it."""
    with guarded(debug=debug):
        from medai.api.encoding import merged
        from medai.files import check_target, write

        files = _files(target)
        # Of these files nothing but the names are used, for the images that are asked for.
        tasks = plan(inputs, f"{files[0].parent}/", "image")
        done: list[Result] = []

        def keep(result: Result, task: Task) -> tuple[Path, ...]:
            done.append(replace(result, items=(result.table, result.codes), frames=()))
            return _write_volumes(result, task, file_format.value)

        batch = Batch(
            task="encode",
            models=(model,),
            parameters={
                "device": device,
                "reconstruct": reconstruct,
                "anomaly": anomaly,
                "overlap": overlap,
                "region": parse_regions(region or []),
            },
            record=_record,
            lines=_lines,
            series=series,
            as_json=as_json,
            quiet=quiet,
            debug=debug,
            keep=keep,
        )
        make_folder(files[0].parent)
        for file in files:
            check_target(file)
        code = batch.run(tasks)
        if done:
            together = merged(done)
            for file in files:
                write(replace(together, frames=()), file, keep=inputs)
            if as_json:
                output().print(json.dumps({"output": [str(file) for file in files], "images": len(done)}))
            elif not quiet:
                output().print(f"codes of {len(done)} images: {' and '.join(map(str, files))}")
        raise typer.Exit(code)


command.__doc__ = f"{_HELP}\n{EXIT_CODES}"


def _files(target: str) -> tuple[Path, ...]:
    """The file for the codes, or the two of a folder."""
    path = Path(target)
    a_folder = target.endswith(("/", "\\")) or path.is_dir() or not path.suffix
    if not a_folder and formats.suffix(path) not in _CODES:
        raise typer.BadParameter(f"'{target}' is no folder, and a file must end in {formats.spelled(_CODES)}.")
    return (path / "codes.csv", path / "codes.npz") if a_folder else (path,)


def _write_volumes(result: Result, task: Task, ending: str) -> tuple[Path, ...]:
    from medai.files import write
    from medai.files.writing import numbered

    written: list[Path] = []
    for number, part in enumerate(result.frames or (result,)):
        for volume in part.items:
            if isinstance(volume, Volume):
                shows = volume.name.rpartition(" ")[2]
                place = task.target.with_name(f"{task.name}_{shows}.{ending}")
                place = numbered(place, number) if result.frames else place
                written += write(volume, place, provenance=part.provenance, keep=task.inputs)
    return tuple(written)


def _record(result: Result) -> dict[str, object]:
    """Rows by column, one per frame of a series."""
    names = ("compression", "psnr_db", "ssim")
    rows = [dict(zip(names, row, strict=True)) for row in _scores(result)]
    return {"scores": rows, "features": result.codes.array.tolist()}


def _lines(result: Result) -> list[str]:
    return [
        f"{compression:.1f} : 1, PSNR {psnr:.2f} dB, SSIM {ssim:.3f}" for compression, psnr, ssim in _scores(result)
    ]


def _scores(result: Result) -> list[tuple[float, float, float]]:
    _, *scores = list(result.table.columns.values())[:4]
    return list(zip(*scores, strict=True))  # type: ignore[arg-type]  # numbers
