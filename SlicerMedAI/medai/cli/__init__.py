"""The command ``medai``. Further commands are added to `app` by the module that brings them.

Nothing here imports torch: it is the worker process that does.
"""

from __future__ import annotations

import signal
import sys
from io import TextIOWrapper
from typing import Annotated

import typer

import medai
from medai.cli import (
    change,
    classify,
    demo,
    denoise,
    detect,
    encode,
    evaluate,
    explain,
    forecast,
    models,
    segment,
    simulate,
    synthesize,
    train,
    translate,
)

app = typer.Typer(
    name="medai",
    help="Run MONAI networks on medical images.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    # Tracebacks are for developers, who ask for them with --debug.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("segment")(segment.command)
app.command("classify")(classify.command)
app.command("detect")(detect.command)
app.command("explain")(explain.command)
app.command("denoise")(denoise.command)
app.command("encode")(encode.command)
app.command("change")(change.command)
app.command("synthesize")(synthesize.command)
app.command("forecast")(forecast.command)
app.command("translate")(translate.command)
app.command("train")(train.command)
app.command("evaluate")(evaluate.command)
app.command("simulate")(simulate.command)
app.command("demo")(demo.command)
app.add_typer(models.app, name="models")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"medai {medai.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Run MONAI networks on medical images."""


def main() -> None:
    """Entry point of the command ``medai``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a log on Windows has no letters for every patient's name
    # Who asks it to end (a cluster, a shutdown) leaves it time to tidy up, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app()


__all__ = ["app", "main"]
