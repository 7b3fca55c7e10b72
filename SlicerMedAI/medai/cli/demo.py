"""``medai demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table as RichTable

from medai.cli import options
from medai.cli.outcome import EXIT_CODES, errors, guarded, output
from medai.cli.progress import Listener


def command(
    folder: Annotated[Path, typer.Option("--output", "-o", help="Folder for what the demo makes.")] = Path("demo"),
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Find and segment both hippocampi in a real head MR; leave scene, segmentation, picture and table."""
    with guarded(debug=debug):
        from medai.demo import run_demo

        with Listener(errors(), quiet=quiet) as listener:
            listener.begin("MNI152 head")
            made, result = run_demo(folder, listener)
        console = output()
        table = RichTable(title="Volumes in the MNI152 T1 head")
        table.add_column("Segment")
        table.add_column("mL", justify="right")
        columns = result.table.columns
        for name, volume in zip(columns["Segment"], columns["Volume (mL)"], strict=True):
            table.add_row(str(name), f"{volume:.2f}")
        console.print(table)
        console.print(str(result.provenance))
        console.print("")
        for what, path in made.described():
            console.print(f"{path}  {what}")


command.__doc__ = f"{command.__doc__}\n\n{EXIT_CODES}"
