"""``medai train``: from data to a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from medai.cli import data as data_options
from medai.cli import options
from medai.cli.data import read_data
from medai.cli.outcome import EXIT_CODES, errors, guarded, output
from medai.cli.progress import Listener
from medai.errors import InputError
from medai.result import Table

_HELP = """Train a model of your own.

DATA is a folder of images with label maps or sorted into classes, a dataset.json, a MONAI data list, a CSV table (for
forecasts with a row per visit), boxes in a COCO file, or a MedMNIST .npz file. The result is a MONAI bundle that medai
and 'python -m monai.bundle run' use.

A training that was stopped or killed goes on when the same command is given again.
"""


def command(
    data: Annotated[list[Path], typer.Argument(metavar="DATA", help="What to learn from, all of it together.")],
    *,
    task: Annotated[
        str,
        typer.Option("--task", help="segment, classify, detect, denoise, encode, synthesize, translate or forecast."),
    ],
    target: Annotated[Path, typer.Option("--output", "-o", metavar="BUNDLE", help="Folder of the model to make.")],
    parameters: Annotated[
        Path | None, typer.Option("--parameters", metavar="FILE", help="Hyper-parameters in YAML.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="One hyper-parameter, such as epochs=50. Repeat for several."),
    ] = None,
    kind: data_options.Kind = "auto",
    data_root: data_options.DataRoot = None,
    labels: data_options.Labels = None,
    columns: data_options.Columns = None,
    fold: data_options.Fold = "",
    validation: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of the cases to validate with, when DATA is not divided.")
    ] = 0.2,
    synthetic: Annotated[
        list[str] | None,
        typer.Option(
            "--synthetic",
            metavar="MODEL:COUNT[:CLASS]",
            help="Images that a generator makes, with their labels or classes, to train with besides.",
        ),
    ] = None,
    modality: Annotated[str, typer.Option(help="DICOM modality of the images: MR, CT, US, DX...")] = "",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1.")] = "auto",
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Go on without the cases that the check finds unusable.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Begin anew where there is a model already.")] = False,
    finish: Annotated[
        bool, typer.Option("--finish", help="Train no further: make a model of the best weights, once more if need be.")
    ] = False,
    positive: Annotated[
        str, typer.Option(metavar="CLASS", help="Of two classes the one that is the finding; the second by default.")
    ] = "",
    sensitivity: Annotated[
        float | None,
        typer.Option(help="Share of positive cases that a classifier is to find; Youden's J decides by default."),
    ] = None,
    licence: Annotated[str, typer.Option("--license", help="Of the model's weights.")] = "Not stated",
    data_licence: Annotated[
        Path | None, typer.Option("--data-license", metavar="FILE", help="Text on the terms of the data.")
    ] = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Replaced by `_HELP`: exit codes are part of it."""
    with guarded(debug=debug):
        from medai.api import train

        choices: dict[str, Any] = {"licence": licence}
        if data_licence is not None:
            choices["data_licence"] = _text(data_licence)
        with Listener(errors(), quiet=quiet) as listener:
            listener.begin(target.name)
            result = train(
                read_data(data, kind, data_root, labels=labels, columns=columns, fold=fold),
                task,
                target,
                parameters=_chosen(parameters, settings or []),
                on_progress=listener,
                validation=validation,
                synthetic=tuple(synthetic or ()),
                skip_bad=skip_bad,
                overwrite=overwrite,
                finish=finish,
                positive=positive,
                sensitivity=sensitivity,
                modality=modality,
                device=device,
                **choices,
            )
        tables = [item for item in result.items if isinstance(item, Table)]
        if as_json:
            record = {"output": str(target), "provenance": result.provenance.attributes()}
            output().print(json.dumps(record | {table.name: rows(table) for table in tables}, default=str))
        elif not quiet:
            output().print(f"{target.name}: {target}")
            for table in tables:
                if table.name == "scores":
                    print_scores(table)


command.__doc__ = f"{_HELP}\n{EXIT_CODES}"


def rows(table: Table) -> list[dict[str, object]]:
    """The table's rows by column title, for programs."""
    return [dict(zip(table.columns, row, strict=True)) for row in zip(*table.columns.values(), strict=True)]


def print_scores(table: Table) -> None:
    """Print every metric with its interval."""
    for row in rows(table):
        name = f"{row['Metric']} {row['Label']}".strip()
        # What has no interval is not a number, which is equal to nothing.
        spread = f"{row['Low']:.3f} to {row['High']:.3f}, " if row["Low"] == row["Low"] else ""
        output().print(f"  {name:32} {row['Value']:9.3f}  ({spread}{row['Cases']} cases)")


def _chosen(file: Path | None, settings: list[str]) -> dict[str, object]:
    from medai.training.parameters import TrainingParameters

    chosen = {} if file is None else TrainingParameters.read(file).plain()
    return {**chosen, **settings_of(settings)}


def settings_of(settings: list[str]) -> dict[str, object]:
    """Hyper-parameters from texts such as ``epochs=50``."""
    import yaml

    chosen: dict[str, object] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise InputError(
                f"'{setting}' is no setting of a hyper-parameter.", "", "Write it as name=value, such as epochs=50."
            )
        try:
            chosen[name.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(
                f"'{value}' cannot be used for '{name}'.", "It is not written correctly.", "Lists are [1, 2, 3]."
            ) from error
    return chosen


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"'{path}' cannot be read as text.", "", "Check the name.", details=repr(error)) from error
