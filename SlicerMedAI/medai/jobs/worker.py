"""The parent's side of a warm worker process. Imports neither torch nor slicer, starts no thread that reads."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from medai.errors import InputError, JobError, MedAIError, WorkerDiedError
from medai.jobs import death
from medai.jobs.channel import ClosedError, Message, wait
from medai.jobs.failures import cancelled, out_of_memory
from medai.jobs.job import Job
from medai.jobs.memory import Block, unlink
from medai.jobs.names import input_name
from medai.jobs.parcel import SMALLEST_BLOCK, pack, unpack
from medai.jobs.process import Process, python_executable
from medai.jobs.running import Running
from medai.progress import Progress

PATIENCE_S = 0.4
"""How long a cancelled job may take to stop by itself before its process is ended."""


class Worker:
    """Runs jobs one after the other in a child process that stays warm: torch imported, last models loaded.

    Parameters
    ----------
    executable : path, optional
        Python that has medai and its dependencies; the right one is found when not given (see
        `medai.jobs.process.python_executable`).
    preload : sequence of str
        Modules imported once when the process starts.
    extra_tasks : mapping, optional
        Further tasks by name: the module that holds ``run(job, report, loaded)``. Only code in this process can name
        them; a `Job` cannot.
    start_timeout_s : float
        How long the process may take until it answers.

    Examples
    --------
    >>> with Worker() as worker:                                   # doctest: +SKIP
    ...     result = worker.submit(job).wait(print)
    """

    def __init__(
        self,
        executable: str | Path | None = None,
        *,
        preload: Sequence[str] = ("torch", "medai.tasks.segment.run", "medai.bundles.pipeline"),
        extra_tasks: Mapping[str, str] | None = None,
        start_timeout_s: float = 120.0,
    ) -> None:
        self._executable = Path(executable) if executable else None
        self._preload = tuple(preload)
        self._extra_tasks = dict(extra_tasks or {})
        self._start_timeout_s = start_timeout_s
        self._owner = os.getpid()
        self._lock = threading.RLock()
        self._queue: deque[Running] = deque()
        self._current: Running | None = None
        self._block: Block | None = None
        self._ready = False
        self._closed = False
        self._oom_kills = 0
        self._scarce = False
        # What must end with this object, kept apart from it so that the finalizer does not keep it alive.
        self._owned: dict[str, Process] = {}
        self._finalizer = weakref.finalize(self, _end_owned, self._owned, self._owner)

    @property
    def pid(self) -> int | None:
        """Process id of the running worker process, None when there is none."""
        return self._process.pid if self._process else None

    @property
    def warm(self) -> bool:
        """Whether the worker process has imported all it needs; tell it by `pump`."""
        return self._process is not None and self._process.warm

    @property
    def busy(self) -> bool:
        """Whether a job is running or waiting."""
        return self._current is not None or bool(self._queue)

    @property
    def _process(self) -> Process | None:
        return self._owned.get("process")

    def start(self) -> None:
        """Start the process before the first job needs it, so that that one finds it warm; returns at once.

        Raises
        ------
        DependencyError
            When there is no Python to start.
        """
        with self._lock:
            if self._process is None and not self._closed:
                self._oom_kills = death.oom_kills()
                self._ready = False
                self._scarce = False
                self._owned["process"] = Process(self._executable or python_executable())

    def submit(self, job: Job) -> Running:
        """Run `job` as soon as those before it are done; returns at once.

        Voxels are read when the job's turn comes; leave them as they are until then.

        Raises
        ------
        JobError
            When this worker has been closed, or belongs to the process that this one was forked from.
        """
        if self._owner != os.getpid():  # asked before the lock, which the fork may have left taken
            raise JobError(
                "The job was not started.",
                "Its worker belongs to the program that this one was forked from, and cannot serve both.",
                "Make a new Worker in this process.",
            )
        with self._lock:
            if self._closed:
                raise JobError("The job was not started.", "The worker has been closed.", "Use a new worker.")
            self.pump()  # a process that has died while idle is not this job's trouble
            running = Running(job, self)
            self._queue.append(running)
            self.pump()
            return running

    def pump(self) -> None:
        """Move everything on that can be moved without waiting; every method of `Running` calls it."""
        with self._lock:
            if self._process is not None:
                self._listen(self._process)
            if self._process is not None:
                self._enforce(self._process)
            self._next()

    def close(self) -> None:
        """Cancel what is left and end the process; safe to call twice."""
        with self._lock:
            self._closed = True
            while self._queue:
                self._queue.popleft()._end(cancelled())
            process = self._process
            if process is not None and self._current is None and process.channel is not None:
                process.channel.post("close")
                process.wait(1.0)
            self._finish(cancelled())
            self._drop()
            self._finalizer.detach()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # What the process says.

    def _listen(self, process: Process) -> None:
        if process.channel is None:
            if process.accept() and process.channel is not None:
                process.channel.post("setup", list(sys.path), self._preload, self._extra_tasks)
            elif process.exit_code is not None:
                self._died(process)
                return
            elif time.monotonic() - process.started > self._start_timeout_s:
                self._never_started(process)
                return
        if process.channel is not None:
            try:
                messages = process.channel.pump()
            except ClosedError:
                self._died(process)
                return
            except MemoryError:
                # There is no room for the result here, so what the process says cannot be understood any further.
                process.kill()
                self._finish(out_of_memory("while receiving the result"))
                self._drop()
                return
            for message in messages:
                self._hear(process, message)

    def _hear(self, process: Process, message: Message) -> None:
        kind, *content, buffers = message
        if kind == "hello":
            self._ready = True
        elif kind == "warm":
            process.warm = True
        elif kind == "progress":
            number, progress, available = content
            self._scarce = death.memory_is_scarce(available)
            listener = self._current or (self._queue[0] if self._queue else None)
            if listener is not None and number in (0, listener._number):
                listener._taken_up |= number > 0
                listener._tell(progress)
        elif kind == "received" and self._block is not None:
            self._block.release()
            self._block = None
        elif kind == "done" and self._current is not None and content[0] == self._current._number:
            self._take(process, content[1], buffers)
        elif kind == "failed" and self._current is not None and content[0] == self._current._number:
            self._finish(content[1])

    def _take(self, process: Process, parcel: Any, buffers: list[bytearray]) -> None:
        try:
            outcome, _ = unpack(parcel, buffers, copy=True)
        except (MemoryError, OSError) as error:
            if isinstance(error, MemoryError) or error.errno == errno.ENOMEM:
                outcome = out_of_memory("while taking over the result")
            else:
                # Only on Windows, where a block ends with the process that made it.
                outcome = WorkerDiedError(
                    "The result was lost.",
                    "The program that runs the model ended while handing it over.",
                    "Try again.",
                    details=str(error),
                )
        except Exception as error:  # whatever a foreign task has sent
            outcome = JobError(
                "The result could not be read.",
                "The model's task sent something unknown.",
                "Report it.",
                details=repr(error),
            )
        if process.channel is not None:
            process.channel.post("taken")
        self._finish(outcome)

    # What happens to the process.

    def _enforce(self, process: Process) -> None:
        asked = self._current._cancel_at if self._current is not None else None
        if asked is not None and time.monotonic() - asked >= PATIENCE_S:
            process.kill()
            self._finish(cancelled())
            self._drop()

    def _died(self, process: Process) -> None:
        code = process.wait(0.5)
        process.kill()  # what it may have left behind, or itself when it only hung up
        if self._current is not None and process.warm and not (self._current._taken_up or self._current._sent_again):
            # It had ended while idle, and that was noticed only now: not this job's doing, so a fresh one gets it.
            again, self._current = self._current, None
            again._sent_again, again._number = True, 0
            self._queue.appendleft(again)
        elif self._current is not None or self._queue:
            running = self._current or self._queue.popleft()
            stage = running._last.stage if running is self._current else ""
            short = self._scarce or death.oom_kills() > self._oom_kills
            running._end(death.explain(code, process.log_tail(), short_of_memory=short, stage=stage))
        self._finish(cancelled())
        self._drop()

    def _never_started(self, process: Process) -> None:
        process.kill()
        log = process.log_tail()
        self._drop()
        if self._queue:
            self._queue.popleft()._end(
                WorkerDiedError(
                    "The program that runs the model did not start.",
                    f"It gave no sign of life for {self._start_timeout_s:g} seconds.",
                    "Try again; if it happens again, ask your administrator whether a security program holds it back.",
                    details=log,
                )
            )

    def _drop(self) -> None:
        process = self._owned.pop("process", None)
        self._ready = False
        if process is not None:
            process.kill()
            process.close()

    # What happens to jobs.

    def _next(self) -> None:
        if self._current is not None or not self._queue or self._closed:
            return
        head = self._queue[0]
        try:
            self.start()
        except MedAIError as error:
            self._queue.popleft()._end(error)
            return
        process = self._process
        head._begin("Starting")
        if process is None or process.channel is None or not self._ready:
            return
        self._current = self._queue.popleft()
        head._number = process.number = process.number + 1
        try:
            parcel, self._block, buffers = pack(head.job, input_name(process.key, process.number))
        except MemoryError:
            self._finish(out_of_memory("while copying the image for the worker"))
            return
        except Exception as error:  # anything a caller may have put into `parameters`
            self._finish(
                InputError(
                    "The job could not be started.",
                    "One of its parameters cannot be sent to another process.",
                    "Use plain values: numbers, text, arrays, regions.",
                    details=repr(error),
                )
            )
            return
        if sum(buffer.nbytes for buffer in buffers) >= SMALLEST_BLOCK:
            note = "Shared memory is too small for this image: it reaches the worker through a socket, which is slower."
            head._tell(Progress("Sending the image", note=note))
        process.channel.post("job", process.number, parcel, buffers=buffers)

    def _finish(self, outcome: Any) -> None:
        if self._block is not None:
            self._block.release()
            self._block = None
        running, self._current = self._current, None
        if running is not None:
            if self._process is not None:
                # A job given up before the worker took it up has left its voxels unread.
                unlink(input_name(self._process.key, running._number))
            running._end(outcome)

    def _cancel(self, running: Running) -> None:
        with self._lock:
            self.pump()
            if running._outcome is not None or running._cancel_at is not None:
                return
            running._cancel_at = time.monotonic()
            if running in self._queue:
                self._queue.remove(running)
                running._end(cancelled())
                return
            process = self._process
            if process is not None and process.channel is not None:
                process.channel.post("cancel", running._number)
        timer = threading.Timer(PATIENCE_S + 0.05, self.pump)
        timer.daemon = True
        timer.start()

    def _sleep(self, seconds: float) -> None:
        with self._lock:
            process = self._process
            waitables = process.waitables() if process else []
            sending = [process.channel] if process and process.channel and process.channel.sending else []
        if waitables:
            wait(waitables, sending, seconds)
        else:
            time.sleep(min(seconds, 0.02))


def _end_owned(owned: dict[str, Process], owner: int) -> None:
    process = owned.pop("process", None)
    if process is not None and os.getpid() == owner:  # a fork of the owner must not end the owner's worker
        process.kill()
        process.close()


_default: Worker | None = None
_default_lock = threading.Lock()


def default_worker() -> Worker:
    """The worker shared by everything in this process: panels, console, `medai.segment`. It ends with this process."""
    global _default  # noqa: PLW0603 - one per process is what it is for
    with _default_lock:
        if _default is None or _default._closed:
            _default = Worker()
        return _default


def _forget_default() -> None:
    """A fork needs a worker of its own: two processes talking to one would garble each other's messages."""
    global _default, _default_lock
    _default, _default_lock = None, threading.Lock()  # another thread may have held the old lock when it forked


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_forget_default)
