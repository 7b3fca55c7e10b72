"""``medai simulate``: series of visits that never took place, to train and to test with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medai.cli import data as data_options
from medai.cli import options
from medai.cli.data import read_data
from medai.cli.outcome import EXIT_CODES, errors, guarded, output
from medai.cli.progress import Listener

_HELP = """Simulate series of visits, to train and to test forecasts with.

Of every image with a label map in DATA comes one series in which the labelled structure shrinks, smoothly and at a rate
drawn at random (slow, as in healthy ageing, or fast), while the patient lies otherwise at every visit and contrast and
noise change. The folder gets the images and visits.csv, from which 'medai train --task forecast' learns. All of it says
that it is simulated; it tells nothing about patients.
"""


def command(
    data: Annotated[list[Path], typer.Argument(metavar="DATA", help="Images with label maps.")],
    *,
    target: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="New folder for the series.")],
    measurement: Annotated[str, typer.Option(help="Title of the column of volumes.")] = "Volume (mL)",
    visits: Annotated[tuple[int, int], typer.Option(help="Fewest and most of a subject.")] = (2, 6),
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same series.")] = 0,
    kind: data_options.Kind = "auto",
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Replaced by `_HELP`: exit codes are part of it."""
    with guarded(debug=debug):
        from medai.training.simulation import Simulation, simulate

        with Listener(errors(), quiet=quiet) as listener:
            listener.begin(target.name)
            how = Simulation(visits=visits)
            listed = read_data(data, kind)
            table = simulate(listed, target, measurement=measurement, how=how, seed=seed, report=listener)
        if not quiet:
            output().print(f"{table} (simulated)")


command.__doc__ = f"{_HELP}\n{EXIT_CODES}"
