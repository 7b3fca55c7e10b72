"""Conversions in the background: one process after the other, none of whose failures anybody sees."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from medai.engine.backends.cache import Cache
from medai.engine.backends.choice import Choice
from medai.engine.backends.eager import PLAIN
from medai.engine.backends.task import LEFT_FOR_LATER, Task
from medai.jobs.process import python_executable

PROGRAM = ("-m", "medai.engine.backends.converter")
_MOST_ATTEMPTS = 5
_TAIL_CHARACTERS = 2000
# Exit codes. Asked to end, by Ctrl-C or because somebody logs out: says nothing.
_INTERRUPTED = {0xC000013A} if sys.platform == "win32" else {-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP}
# Ended by force, above all by the system for lack of memory; or 1, when Python could not even load the program.
_CUT_SHORT = {1} if sys.platform == "win32" else {1, -signal.SIGKILL}
_log = logging.getLogger("medai.engine.backends")


class Conversions:
    """Gives tasks to child processes and notes down how they ended.

    Parameters
    ----------
    cache : Cache
        Where outcomes go.
    timeout_s : float
        After which a conversion is ended and never tried again. Long: on a busy computer it hardly gets a turn.
    program : sequence of str
        Arguments to Python, before the task.
    """

    def __init__(self, cache: Cache, *, timeout_s: float = 3600.0, program: Sequence[str] = PROGRAM) -> None:
        self._cache = cache
        self._timeout_s = timeout_s
        self._program = tuple(program)
        self._known: set[str] = set()
        self._tasks: queue.SimpleQueue[tuple[str, Task] | None] = queue.SimpleQueue()
        self._open: set[str] = set()  # those that wait or run
        self._changed = threading.Condition()
        self._child: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def pid(self) -> int | None:
        """Of the process that converts now."""
        child = self._child
        return child.pid if child is not None else None

    def start(self, task: Task) -> bool:
        """Begin soon, unless this object has done so before and it was decided; returns at once.

        Returns
        -------
        bool
            Whether it is under way or waits for its turn.
        """
        key = task.key()
        with self._changed:
            if self._closed or key in self._known:
                return key in self._open
            self._known.add(key)
            self._open.add(key)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="conversions", daemon=True)
                self._thread.start()
        self._tasks.put((key, task))
        return True

    def is_open(self, key: str) -> bool:
        """Whether the task of this key is under way or waits for its turn."""
        with self._changed:
            return key in self._open

    def wait(self, timeout_s: float | None = None, key: str = "") -> bool:
        """Whether the conversion of this key, or all when none is named, have ended within that time."""
        with self._changed:
            return self._changed.wait_for(lambda: not (key in self._open if key else self._open), timeout_s)

    def close(self) -> None:
        """End the child process and begin no other."""
        with self._changed:
            self._closed = True
            child, thread = self._child, self._thread
        self._tasks.put(None)
        if child is not None:
            with contextlib.suppress(OSError):
                child.kill()
        if thread is not None and thread is not threading.current_thread():
            thread.join(10)

    # The thread that waits for the child.

    def _work(self) -> None:
        while (item := self._tasks.get()) is not None and not self._closed:
            decided = True
            try:
                decided = self._convert(*item)
            except Exception:
                _log.exception("A conversion could not be run.")
            with self._changed:
                self._open.discard(item[0])
                if not decided:
                    self._known.discard(item[0])
                self._changed.notify_all()
        with self._changed:
            self._open.clear()
            self._changed.notify_all()

    def _convert(self, key: str, task: Task) -> bool:
        """Whether there is an outcome; else a later job may try again."""
        if self._cache.attempts(key) >= _MOST_ATTEMPTS:
            _log.info("'%s' is not converted: this was ended too often today.", task.name)
            return True
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="medai-") as folder:
            log = Path(folder) / "log"
            code = self._run(task, folder, log)
            tail = _tail(log)
        if self._closed:
            return False
        if code == LEFT_FOR_LATER or code in _INTERRUPTED or code in _CUT_SHORT:
            _log.info("'%s' was not converted this time (%s). %s", task.name, code, tail)
            if code in _CUT_SHORT:
                self._cache.count_attempt(key)
            return False
        if code == 0:
            self._cache.forget_attempts(key)
            _log.info("'%s' was converted and measured in %.0f s. %s", task.name, time.monotonic() - began, tail)
        else:
            why = "it took too long" if code is None else f"it ended with code {code}"
            _log.warning("'%s' was not converted: %s. %s", task.name, why, tail)
            self._cache.write(key, Choice(refused={PLAIN: f"the conversion failed: {why}"}).to_json())
        return True

    def _run(self, task: Task, folder: str, log: Path) -> int | None:
        """The exit code; None after the time was over."""
        environment = dict(os.environ)
        # Its working directory comes first on its path, so it must hold nobody's modules.
        root = str(Path(__file__).resolve().parents[3])
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH", "")]))
        environment["PYTHONIOENCODING"] = "utf-8:backslashreplace"
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            environment[name] = str(task.threads)
        with log.open("wb") as file:
            child = subprocess.Popen(  # noqa: S603 - no shell, our own module
                [str(python_executable()), *self._program, task.to_text()],
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE,  # never written to; it closes when this process ends
                stdout=file,
                stderr=file,
                creationflags=_windows_flags(),
            )
        with self._changed:
            self._child = child
            if self._closed:
                child.kill()
        try:
            return child.wait(self._timeout_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            child.kill()
            child.wait()
            if child.stdin is not None:
                child.stdin.close()
            with self._changed:
                self._child = None


def _windows_flags() -> int:
    if sys.platform != "win32":
        return 0
    return subprocess.CREATE_NO_WINDOW | subprocess.BELOW_NORMAL_PRIORITY_CLASS


def _tail(log: Path) -> str:
    with contextlib.suppress(OSError):
        return log.read_text(encoding="utf-8", errors="replace").strip()[-_TAIL_CHARACTERS:]
    return ""
