"""``medai segment``."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medai.api import DEFAULT_MODEL
from medai.cli.outcome import (
    EXIT_CODES,
    ExitCode,
    as_record,
    common_code,
    errors,
    exit_code,
    explained,
    guarded,
    output,
    show,
)
from medai.cli.progress import Listener
from medai.cli.regions import parse_regions
from medai.cli.targets import Task, plan
from medai.errors import BundleError, JobCancelled, MedAIError, WriteError
from medai.result import Result

if TYPE_CHECKING:
    from medai.volume import Series, Volume


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


@dataclass(frozen=True)
class _Choices:
    """What is the same for all inputs."""

    models: tuple[str, ...]
    series: str | None
    parameters: dict[str, Any]
    overwrite: bool
    debug: bool


def command(
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT", help="Image files or DICOM folders.")],
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
    series: Annotated[
        str | None, typer.Option(help="Series of a DICOM folder: number in its list, description or UID.")
    ] = None,
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
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    overlap: Annotated[
        float | None, typer.Option(min=0, max=0.99, help="Overlap of neighbouring windows; the model's own by default.")
    ] = None,
    tta: Annotated[
        bool,
        typer.Option(
            "--tta",
            help="Test-time augmentation: mirrored images vote too, and NAME_uncertainty tells where they disagree. "
            "Takes up to eight times as long; for models trained on mirrored images.",
        ),
    ] = False,
    backend: Annotated[
        str,
        typer.Option(help="auto (the fastest that agrees with PyTorch here), torch, openvino, onnxruntime."),
    ] = "auto",
    together: Annotated[
        bool, typer.Option("--together", help="The inputs are the images of one patient, in the model's order.")
    ] = False,
    file_format: Annotated[Format, typer.Option("--format", help="Of files in an output folder.")] = Format.SEG_NRRD,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON per input: output, volumes in mL, provenance, error.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite/--no-clobber", help="Replace existing files, or leave such inputs out.")
    ] = True,
    debug: Annotated[bool, typer.Option("--debug", help="Print technical details of errors.")] = False,
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
        choices = _Choices(tuple(model or [DEFAULT_MODEL]), series, parameters, overwrite, debug)
        codes = _run(tasks, choices, as_json=as_json, quiet=quiet)
        raise typer.Exit(common_code(codes))


command.__doc__ = f"{_HELP}\n{EXIT_CODES}"


def _run(tasks: list[Task], choices: _Choices, *, as_json: bool, quiet: bool) -> list[ExitCode]:
    """All tasks, one after the other; the exit code of each."""
    from medai.bundles import library
    from medai.jobs.worker import default_worker

    for model in choices.models:
        library.find(model)  # a wrong name is told before anything is read
    _make_folders(tasks)
    default_worker().start()  # it imports torch while the first image is being read
    codes: list[ExitCode] = []
    provenance = ""
    with Listener(errors(), quiet=quiet) as listener:
        for number, task in enumerate(tasks):
            record: dict[str, object] = {"input": [str(path) for path in task.inputs], "status": "ok"}
            began = time.monotonic()
            failure: MedAIError | None = None
            try:
                if task.done and not choices.overwrite:
                    record |= {"status": "kept", "output": [str(task.target)]}
                    listener.say(f"{task.name}: {task.target} exists already and is kept")
                else:
                    result, files = _one(task, choices, listener)
                    provenance = str(result.provenance)
                    record |= {"output": [str(file) for file in files], **_told(result)}
                    if not (as_json or quiet):
                        _print(task, files, result)
            except (KeyboardInterrupt, JobCancelled):
                if as_json:
                    output().print(json.dumps({**record, "status": "cancelled"}))
                raise
            except Exception as error:
                failure = explained(error)
                show(failure, errors(), about=task.name if len(tasks) > 1 else "", debug=choices.debug)
                record |= {"status": "failed", "error": as_record(failure)}
            codes.append(exit_code(failure) if failure else ExitCode.OK)
            if as_json:
                output().print(json.dumps({**record, "duration_s": round(time.monotonic() - began, 3)}))
            if isinstance(failure, BundleError) and number + 1 < len(tasks):
                errors().print(f"The remaining {len(tasks) - number - 1} inputs need the same model and are left out.")
                break
    _summarize(tasks, codes, provenance, as_json=as_json, quiet=quiet)
    return codes


def _one(task: Task, choices: _Choices, listener: Listener) -> tuple[Result, tuple[Path, ...]]:
    from medai.api import prepare
    from medai.files import check_target, read, write
    from medai.jobs.worker import default_worker

    listener.begin(task.name)
    check_target(task.target)
    images: list[Volume | Series] = [read(path, choices.series) for path in task.inputs]
    job = prepare(images, choices.models, **choices.parameters)
    result = default_worker().submit(job).wait(listener)
    return result, write(result, task.target, keep=task.inputs)


def _make_folders(tasks: list[Task]) -> None:
    for folder in {task.target.parent for task in tasks}:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(
                f"The folder '{folder}' cannot be made.",
                f"The computer reports: {error.strerror or error}.",
                "Choose another output folder.",
            ) from error


def _told(result: Result) -> dict[str, object]:
    """What a program wants to know of a result; a series has one entry of volumes per frame."""
    volumes: object = (
        [frame.labelmap.volumes_ml() for frame in result.frames] if result.frames else result.labelmap.volumes_ml()
    )
    return {"volumes_ml": volumes, "provenance": result.provenance.attributes(), "notes": list(result.provenance.notes)}


def _print(task: Task, files: tuple[Path, ...], result: Result) -> None:
    console = output()
    console.print(f"{task.name}: {files[0]}" + (f" and {len(files) - 1} more" if len(files) > 1 else ""))
    for number, frame in enumerate(result.frames or (result,)):
        volumes = frame.labelmap.volumes_ml()
        width = max((len(name) for name in volumes), default=0)
        if result.frames:
            console.print(f"  frame {number}")
        for name, volume in volumes.items():
            console.print(f"  {name:{width}}  {volume:10.3f} mL")
    for note in result.provenance.notes:
        console.print(f"  Note: {note}")


def _summarize(tasks: list[Task], codes: list[ExitCode], provenance: str, *, as_json: bool, quiet: bool) -> None:
    failed = [task.name for task, code in zip(tasks, codes, strict=False) if code is not ExitCode.OK]
    left_out = len(tasks) - len(codes)
    if len(tasks) > 1 and (failed or left_out):
        errors().print(f"{len(codes) - len(failed)} of {len(tasks)} inputs done. Failed: {', '.join(failed)}.")
    if provenance and not (as_json or quiet):
        lines = [line for line in provenance.splitlines() if not line.startswith("Note: ")]
        output().print("\n".join(lines))
