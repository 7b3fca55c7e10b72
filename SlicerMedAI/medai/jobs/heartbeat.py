"""The worker's voice while it works: where the job stands, several times a second."""

from __future__ import annotations

import dataclasses
import sys
import threading
import time
from collections.abc import Callable

from medai.progress import Progress

INTERVAL_S = 0.15
IDLE_S = 1.0


class Heartbeat:
    """Tells the latest `Progress` at least every `INTERVAL_S`, with elapsed and remaining time moving on.

    A report costs the task a few microseconds: the heartbeat's own thread does the sending. Reports in between are
    skipped, except the first of each stage and those with a note.

    Parameters
    ----------
    tell : callable
        Sends one progress: number of the job, Progress, free memory in bytes.
    between : callable
        Called about once a second, or at every beat while working.
    """

    def __init__(self, tell: Callable[[int, Progress, int], None], between: Callable[[], None]) -> None:
        self._tell = tell
        self._between = between
        self._lock = threading.Lock()
        self._telling = threading.Lock()  # held from taking what is due until it has been sent
        self._wake = threading.Event()
        self._active = False
        self._number = 0
        self._began = 0.0
        self._latest = Progress("")
        self._at = 0.0
        self._due: list[Progress] = []
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def begin(self, number: int, stage: str) -> None:
        """A job (0: preparations before any job) begins."""
        with self._lock:
            self._number = number
            self._began = time.monotonic()
            self._active = True
        self.report(Progress(stage))

    def report(self, progress: Progress) -> None:
        """Remember where the job stands."""
        with self._lock:
            self._at = time.monotonic()
            progress = dataclasses.replace(progress, elapsed_s=self._at - self._began)
            remarkable = progress.stage != self._latest.stage or progress.note
            self._latest = dataclasses.replace(progress, note="")
            if remarkable:
                self._due.append(progress)
        if remarkable:
            self._wake.set()

    def end(self) -> None:
        """The job is over; when this returns, everything due has been told and nothing more will be."""
        with self._telling:
            with self._lock:
                self._active = False
                due, self._due = self._due, []
                self._latest = Progress("")
            for progress in due:
                self._tell(self._number, progress, _free_memory())

    def _beat(self) -> None:
        while True:
            self._wake.wait(INTERVAL_S if self._active else IDLE_S)
            self._wake.clear()
            self._between()
            with self._telling:
                with self._lock:
                    if not self._active:
                        continue
                    number = self._number
                    due, self._due = self._due or [self._aged()], []
                for progress in due:
                    self._tell(number, progress, _free_memory())

    def _aged(self) -> Progress:
        now = time.monotonic()
        eta = self._latest.eta_s
        return dataclasses.replace(
            self._latest,
            elapsed_s=now - self._began,
            eta_s=None if eta is None else max(eta - (now - self._at), 0.0),
        )


def _free_memory() -> int:
    try:
        import psutil
    except ImportError:
        return sys.maxsize
    return int(psutil.virtual_memory().available)
