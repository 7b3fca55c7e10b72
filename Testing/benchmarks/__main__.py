"""``python -m benchmarks``: print the table. Whatever fails is a line of it, and stops nothing else."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.rows import ENTRIES
from benchmarks.timing import Row

TESTING = Path(__file__).resolve().parents[1]
_LONGEST = 6.0
"""An entry may take as many times what it takes on two quiet cores, and never less than ten minutes."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Return a process exit status: 1 when an entry was not measured."""
    options = _parser().parse_args(arguments)
    names = options.only or list(ENTRIES)
    console = Console()
    if options.list:
        for name in names:
            console.print(f"{name:22} {ENTRIES[name].minutes:g} min")
        return 0
    sizes = (
        "sizes of seconds, which say nothing about speed"
        if options.quick
        else (f"about {sum(ENTRIES[name].minutes for name in names):.0f} minutes on two quiet cores")
    )
    console.print(
        f"{len(names)} measurements, {sizes}. Each is written to {escape(str(options.output))} when it is done."
    )
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text("", encoding="utf-8")
    done = failed = 0
    table = Table("Measured", "Value", "Goal", "")
    with _until_asked_to_end(console):
        for name in names:
            with console.status(f"{name} ({names.index(name) + 1} of {len(names)})"):
                began = time.perf_counter()
                rows, error = measured(name, quick=options.quick)
                seconds = time.perf_counter() - began
            failed += bool(error)
            for row in rows:
                verdict = "-" if options.quick else "met" if row.met else "not met"
                table.add_row(*map(escape, (row.what, row.value, row.goal)), verdict)
            if error:
                table.add_row(name, escape(error), "", "failed")
            console.print(f"{name}: {escape(error) if error else 'done'}, {seconds:.0f} s")
            line = {"name": name, "quick": options.quick, "seconds": round(seconds, 1), "error": error}
            with options.output.open("a", encoding="utf-8") as file:
                file.write(json.dumps({**line, "rows": [vars(row) for row in rows]}) + "\n")
            done += 1
    console.print(table)
    return int(failed > 0 or done < len(names))


@contextmanager
def _until_asked_to_end(console: Console) -> Iterator[None]:
    """End the ``with`` block alone at Ctrl-C and SIGTERM, so that the running entry is ended and the table printed."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        console.print("Stopped; this is what was measured before:")
    finally:
        signal.signal(signal.SIGTERM, before)


def measured(name: str, *, quick: bool) -> tuple[list[Row], str]:
    """Rows of an entry, measured in a process of its own; or none, and what went wrong."""
    with tempfile.TemporaryDirectory() as folder:
        file, said = Path(folder) / "rows.json", Path(folder) / "said.txt"
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.one", name, str(file), *["--quick"] * quick]
        with said.open("wb") as log:
            process = psutil.Popen(command, cwd=TESTING, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
            try:
                process.wait(max(600.0, 60 * _LONGEST * ENTRIES[name].minutes))
            except psutil.TimeoutExpired:
                return [], "it took too long and was ended"
            finally:
                _end(process)
        if process.returncode == 0 and file.is_file():
            return [Row(**row) for row in json.loads(file.read_text(encoding="utf-8"))], ""
        lines = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return [], lines[-1] if lines else f"it ended with {process.returncode}"


def _end(process: psutil.Popen) -> None:
    """End it and what it has started, if it is still there."""
    if process.poll() is None:
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=list(ENTRIES), help="measure these alone")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: whether everything can be measured at all")
    parser.add_argument("--list", action="store_true", help="name what can be measured")
    parser.add_argument("--output", type=Path, default=Path("benchmarks.jsonl"), help="JSON lines, one for each entry")
    return parser


if __name__ == "__main__":
    sys.exit(main())
