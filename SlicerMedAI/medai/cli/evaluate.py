"""``medai evaluate``: how good is a model?"""

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
from medai.cli.train import print_scores, rows

_HELP = """Measure how good a model is.

DATA is anything that 'medai train' learns from. The output folder gets a table of the cases (cases.csv), a summary with
95 % intervals (summary.json) and a page to read (report.html).
"""


def command(
    model: options.Name,
    data: Annotated[list[Path], typer.Argument(metavar="DATA", help="Cases with references, all of them together.")],
    *,
    target: options.Folder,
    split: Annotated[str, typer.Option(help="training, validation or test; all cases by default.")] = "",
    kind: data_options.Kind = "auto",
    data_root: data_options.DataRoot = None,
    labels: data_options.Labels = None,
    columns: data_options.Columns = None,
    fold: data_options.Fold = "",
    count: Annotated[
        int, typer.Option(min=0, help="Images that a generator makes; as many as it learned from by default.")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Of a generator's images.")] = 0,
    utility: Annotated[
        bool, typer.Option("--utility", help="Train on a generator's images too, and judge by real ones; takes long.")
    ] = False,
    utility_epochs: Annotated[int, typer.Option(min=1, help="Of each of the four trainings.")] = 20,
    utility_cases: Annotated[
        int, typer.Option(min=0, help="Cases of each; as many as the generator learned from by default.")
    ] = 0,
    device: options.Device = "auto",
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Replaced by `_HELP`: exit codes are part of it."""
    with guarded(debug=debug):
        from medai.api import evaluate

        with Listener(errors(), quiet=quiet) as listener:
            listener.begin(Path(model).name)
            listed = read_data(data, kind, data_root, labels=labels, columns=columns, fold=fold)
            chosen: dict[str, Any] = {"split": split, "count": count, "seed": seed, "device": device}
            chosen |= {"utility": utility, "utility_epochs": utility_epochs, "utility_cases": utility_cases}
            result = evaluate(model, listed, target, on_progress=listener, **chosen)
        if as_json:
            record = {"output": str(target), "scores": rows(result.table)}
            output().print(json.dumps({**record, "provenance": result.provenance.attributes()}, default=str))
        elif not quiet:
            output().print(f"{model}: {target / 'report.html'}")
            print_scores(result.table)


command.__doc__ = f"{_HELP}\n{EXIT_CODES}"
