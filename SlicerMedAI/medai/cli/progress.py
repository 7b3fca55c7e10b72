"""Where a job stands, on a terminal as a bar, elsewhere as a few lines."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from types import TracebackType
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as Bar

from medai.errors import printable
from medai.progress import Progress

_LINE_EVERY_S = 5.0


class Listener:
    """Shows the progress of one job after the other.

    Parameters
    ----------
    console : Console
        Standard error.
    quiet : bool
        Show only what a person should know of the results, whoever watches; no progress, and no means.
    """

    def __init__(self, console: Console, *, quiet: bool) -> None:
        self._console = console
        self._quiet = quiet
        self._name = ""
        self._line = ("", 0.0)
        self._notes: set[str] = set()
        self._bar = Bar(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[left]}", markup=False),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, left="")

    def __enter__(self) -> Listener:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def begin(self, name: str, stage: str = "Reading") -> None:
        """Another input's turn, and what is done first."""
        self._name, self._line = printable(name), ("", 0.0)
        self._notes.clear()
        self(Progress(stage))

    def say(self, text: str) -> None:
        """A line above the bar."""
        if not self._quiet:
            self._bar.console.print(text, soft_wrap=True)

    def unread(self, notes: Iterable[str]) -> list[str]:
        """Those that whoever reads the results has not read already, while the job ran.

        Results go where the progress goes on a terminal, and in a log that is given both.
        """
        together = (self._console.is_terminal and sys.stdout.isatty()) or _one_file(self._console.file, sys.stdout)
        return [note for note in notes if not (together and note in self._notes)]

    def __call__(self, progress: Progress) -> None:
        """Show where the job stands."""
        if progress.note and progress.note not in self._notes and not (self._quiet and progress.aside):
            self._notes.add(progress.note)
            self._bar.console.print(f"{self._name}: {progress.note}", soft_wrap=True, markup=False)
        if self._quiet:
            return
        left = time_left(progress.eta_s)
        if self._console.is_terminal:
            total = progress.total if progress.total > 0 else None
            description = f"{self._name}: {progress.stage}"
            self._bar.update(self._task, description=description, total=total, completed=progress.done, left=left)
            return
        stage, told = self._line
        if progress.stage != stage or time.monotonic() - told >= _LINE_EVERY_S:
            self._line = (progress.stage, time.monotonic())
            share = f"{progress.fraction:.0%}" if progress.fraction is not None else ""
            self.say(", ".join(part for part in (f"{self._name}: {progress.stage}", share, left) if part))


def _one_file(first: IO[str], second: IO[str]) -> bool:
    """Whether both write into one file (``> log 2>&1``)."""
    try:
        status, other = os.fstat(first.fileno()), os.fstat(second.fileno())
    except (OSError, ValueError):  # no file of the system's
        return first is second
    return status.st_ino != 0 and os.path.samestat(status, other)  # 0: Windows does not tell pipes apart


def time_left(seconds: float | None) -> str:
    """``"about 2 min left"``; nothing when it cannot be told."""
    if seconds is None:
        return ""
    if seconds < 1:
        return "nearly done"
    if seconds < 90:
        return f"about {seconds:.0f} s left"
    minutes = seconds / 60
    return f"about {minutes:.0f} min left" if minutes < 90 else f"about {minutes / 60:.1f} h left"
