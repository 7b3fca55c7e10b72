"""What the first Apply would take long for, done before it, a little at a time, while nobody waits."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator

MODULES = (
    "packaging.specifiers",
    "psutil",
    "medai.api",
    "medai.jobs.worker",
    "medai.tasks.segment",
    "medai.mrml.results",
)
"""What a job needs on Slicer's side; nothing of it imports torch."""

DELAY_S = 1.0


class WarmUp:
    """Imports, then starts the worker process, which imports torch by itself. Polled like a run.

    Parameters
    ----------
    getWorker : callable
        The worker of the jobs to come.
    isInstalled : callable
        Whether all packages are there; asked once. Without them no process is started.
    """

    def __init__(self, getWorker: Callable, isInstalled: Callable[[], bool]) -> None:
        self._getWorker = getWorker
        self._isInstalled = isInstalled
        self._begin = time.monotonic() + DELAY_S
        self._steps = self._work()
        self.ended = False

    def poll(self) -> bool:
        """Do one step; True while there are more."""
        if not self.ended and time.monotonic() >= self._begin:
            self.ended = next(self._steps, True)
        return not self.ended

    def cancel(self) -> None:
        """Do no more."""
        self.ended = True

    def _work(self) -> Iterator[bool]:
        from medai.errors import MedAIError

        for name in MODULES:
            try:
                importlib.import_module(name)
            except ImportError:
                return  # something is not installed: Apply will say so
            yield False
        if not self._isInstalled():
            return
        yield False
        worker = self._getWorker()
        try:
            worker.start()
        except MedAIError:
            return
        while worker.pid is not None and not worker.warm:
            yield False
            worker.pump()
