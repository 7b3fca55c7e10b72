"""A job that has been handed to a worker."""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from medai.errors import JobCancelled, MedAIError
from medai.jobs.failures import advised, cancelled
from medai.jobs.job import Job
from medai.progress import Progress
from medai.result import Result

if TYPE_CHECKING:
    from medai.jobs.worker import Worker

_SILENCE_S = 0.2  # a person watches the elapsed time: it moves at least four times a second
_KEPT = 1000


class Running:
    """A job under way, made by `Worker.submit`.

    Nothing here calls back or runs in the background: whoever wants the result calls `poll` now and then (a Qt timer
    every 100 ms, say), or `wait`.

    Examples
    --------
    In a panel, without blocking::

        running = worker.submit(job)
        def tick():                       # connected to a QTimer
            for progress in running.poll():
                show(progress)
            if running.done:
                timer.stop()
                result = running.result() # or a MedAIError

    In a script::

        result = worker.submit(job).wait(print)
    """

    def __init__(self, job: Job, worker: Worker) -> None:
        self.job = job
        self._worker = worker
        self._number = 0  # under which the process knows it; 0 until it has been sent
        self._taken_up = False  # whether the process has begun it
        self._sent_again = False
        self._began: float | None = None
        self._cancel_at: float | None = None
        self._news: deque[Progress] = deque(maxlen=_KEPT)
        self._last = Progress("Waiting for another job")
        self._told = time.monotonic()
        self._outcome: Result | MedAIError | None = None

    def __repr__(self) -> str:
        state = self._last.stage if self._outcome is None else type(self._outcome).__name__
        return f"<Running {self.job.task} with {self.job.bundle.name}: {state}>"

    def poll(self) -> list[Progress]:
        """What has happened since the last call, oldest first; never waits.

        At least every 0.2 s there is something, if only the time that has passed.
        """
        self._worker.pump()
        now = time.monotonic()
        if not self._news and self._outcome is None and now - self._told > _SILENCE_S:
            passed = now - self._told
            eta = self._last.eta_s
            self._tell(dataclasses.replace(self._last, eta_s=None if eta is None else max(eta - passed, 0.0), note=""))
        news = list(self._news)
        self._news.clear()
        return news

    @property
    def done(self) -> bool:
        """Whether the job is over, one way or the other; never waits."""
        if self._outcome is None:
            self._worker.pump()
        return self._outcome is not None

    @property
    def last_progress(self) -> Progress:
        """Where the job stands, as last heard."""
        return self._last

    def cancel(self) -> None:
        """Ask for the end of the job; returns at once.

        A waiting job is over at once. A running one is asked to stop; when it has not within 0.4 s, its process and
        everything it started is ended, by the next `poll`, `done`, `wait` or, for a caller who does none of these, by
        a timer thread. After that `result` raises `medai.errors.JobCancelled`, even where the result had just arrived.
        """
        self._worker._cancel(self)

    def result(self) -> Result:
        """The result; waits for it when the job is not done.

        Raises
        ------
        MedAIError
            `JobCancelled`, `WorkerDiedError`, `OutOfMemoryError`, or what the task itself raised.
        """
        return self.wait()

    def wait(self, on_progress: Callable[[Progress], None] | None = None) -> Result:
        """Block until the job is over.

        Parameters
        ----------
        on_progress : callable, optional
            Called with every `Progress` in this thread. When it raises (`JobCancelled` to stop, `KeyboardInterrupt`
            from Ctrl-C), the job is cancelled and gone before the exception goes on.

        Raises
        ------
        MedAIError
            As `result`.
        """
        try:
            while True:
                news = self.poll()
                for progress in news if on_progress else ():
                    on_progress(progress)  # type: ignore[misc]
                if self._outcome is not None:
                    break
                self._worker._sleep(0.1)
        except BaseException:
            self.cancel()
            while not self.done:
                self._worker._sleep(0.05)
            raise
        if isinstance(self._outcome, MedAIError):
            raise self._outcome
        return self._outcome

    def _begin(self, stage: str) -> None:
        if self._began is None:
            self._began = time.monotonic()
            self._tell(Progress(stage))

    def _tell(self, progress: Progress) -> None:
        self._told = time.monotonic()
        elapsed = 0.0 if self._began is None else self._told - self._began
        self._last = dataclasses.replace(progress, elapsed_s=elapsed)
        self._news.append(self._last)

    def _end(self, outcome: Result | MedAIError) -> None:
        if self._outcome is not None:
            return
        if self._cancel_at is not None and not isinstance(outcome, JobCancelled):
            outcome = cancelled()
        self._outcome = advised(outcome, self.job.task) if isinstance(outcome, MedAIError) else outcome
