"""``medai models compress`` and ``medai models export``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table as Printed

from medai.cli import data as data_options
from medai.cli import options
from medai.cli.data import read_data
from medai.cli.outcome import ExitCode, errors, guarded, output
from medai.cli.progress import Listener
from medai.cli.train import rows, settings_of
from medai.result import Result


def compress(
    name: options.Name,
    *,
    method: Annotated[str, typer.Option(help="quantize, prune, distill or decompose.")],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DATA",
            help="Images, best with references, or visits; as for 'medai train'. Repeat for several. Generators "
            "of images need none.",
        ),
    ] = None,
    kind: data_options.Kind = "auto",
    data_root: data_options.DataRoot = None,
    target: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="The new bundle; beside the old by default.")
    ] = None,
    ratio: Annotated[
        float, typer.Option(help="prune, distill: share of every layer's channels that goes, above 0 and below 1.")
    ] = 0.5,
    energy: Annotated[
        float, typer.Option(help="decompose: share of the weights' energy that is kept, above 0 up to 1.")
    ] = 0.8,
    calibration: Annotated[int, typer.Option(min=1, help="quantize: images, series or codes to calibrate with.")] = 64,
    tolerance: Annotated[
        float, typer.Option(help="Fall of the task's metric, as a share of it below 1, at which the model is as good.")
    ] = 0.01,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the old model, unless its metric falls by more than that.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier compressed model.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Of the training that follows, such as epochs=40."),
    ] = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Make a smaller, faster model of a model, and compare both: size, time, memory, and how good it is.

    An autoencoder that a denoiser carries for 'medai encode' stays as it is; one trained by itself ('medai train --task
    encode') can be compressed.
    """
    with guarded(debug=debug):
        from medai.api import compress_model

        with Listener(errors(), quiet=quiet or as_json) as listener:
            listener.begin(name)
            result = compress_model(
                name,
                method,
                read_data(data, kind, data_root) if data and (kind != "auto" or data_root) else data,
                output=target,
                parameters=settings_of(settings or []),
                on_progress=listener,
                ratio=ratio,
                energy=energy,
                calibration=calibration,
                tolerance=tolerance,
                replace=replace,
                overwrite=overwrite,
            )
        _print(name, result, listener, as_json=as_json, quiet=quiet)
        if any("was not replaced" in note for note in result.provenance.notes):
            raise typer.Exit(ExitCode.MODEL)


def export(
    name: options.Name,
    *,
    to: Annotated[str, typer.Option(help="torchscript, onnx or openvino.")],
    target: options.Folder,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files of the same names.")] = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Write a model's network for other programs, and check that it gives the same."""
    with guarded(debug=debug):
        from medai.api import export_model

        with Listener(errors(), quiet=quiet or as_json) as listener:
            listener.begin(name)
            result = export_model(name, to, target, overwrite=overwrite, on_progress=listener)
        _print(name, result, listener, as_json=as_json, quiet=quiet)


def _print(name: str, result: Result, listener: Listener, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        record: dict[str, Any] = {"name": name, result.table.name: rows(result.table)}
        output().print(json.dumps({**record, "provenance": result.provenance.attributes()}, default=str))
        return
    if quiet:
        return
    if result.table.name == "comparison":
        from medai.training.compression.report import lines

        printed = Printed("Quantity", "Before", "After", "After / before", "Difference", box=None, pad_edge=False)
        for line in lines(result.table):
            printed.add_row(*line)
    else:
        printed = Printed(*result.table.columns, box=None, pad_edge=False)
        for row in zip(*result.table.columns.values(), strict=True):
            printed.add_row(*map(str, row))
    output().print(printed)
    for note in listener.unread(result.provenance.notes):
        output().print(note)
