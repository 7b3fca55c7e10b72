"""The worker process: ``python -m medai.jobs.child``, started by `medai.jobs.process.Process`.

The main thread does the jobs, one thread hears the parent, one (`medai.jobs.heartbeat`) tells it where the job stands.
Only the standard library is imported until the parent is connected, so that what is missing can be told.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import os
import queue
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Container
from pathlib import Path
from typing import Any

from medai.errors import JobError, MedAIError
from medai.jobs.channel import Channel, ClosedError, connect
from medai.jobs.failures import cancelled, explain_exception
from medai.jobs.heartbeat import Heartbeat
from medai.jobs.memory import Block, unlink
from medai.jobs.names import ADDRESS_VARIABLE, LOG_NAME, TEMP_NAME, clears_up, input_name, output_name
from medai.progress import Progress

_LOG_LIMIT = 1 << 20
_LOG_KEPT = 1 << 16
_FIRST_WORDS = {"torch": "Loading PyTorch"}


class Serving:
    """The life of one worker process.

    Parameters
    ----------
    channel : Channel
        To the parent.
    key : str
        Prefix of the names of shared memory.
    parent : int
        The parent's process id.
    folder : Path
        Private temporary folder with the log.
    """

    def __init__(self, channel: Channel, key: str, parent: int, folder: Path) -> None:
        self._channel = channel
        self._key = key
        self._folder = folder
        self._parent = _Parent(parent)
        self._sending = threading.Lock()
        self._deciding = threading.Lock()
        self._jobs: queue.SimpleQueue[tuple[int, Any, list[bytearray]]] = queue.SimpleQueue()
        self._begun = 0  # number of the last job taken up
        self._cancelled = 0  # number of the last job to be given up
        self._missing: MedAIError | None = None
        self._extra: dict[str, str] = {}
        self._models: Any = None
        self._handed_over: Block | None = None
        self._heartbeat = Heartbeat(lambda *told: self._tell("progress", *told), self._look_around)

    def run(self) -> None:
        """Serve until the parent says otherwise; never returns."""
        _, paths, preload, self._extra, _ = self._channel.receive()
        sys.path += [path for path in paths if path not in sys.path]
        threading.Thread(target=self._hear, name="parent", daemon=True).start()
        self._heartbeat.start()
        self._tell("hello", os.getpid())
        self._warm_up(preload)
        while True:
            self._serve(*self._jobs.get())

    def _warm_up(self, preload: tuple[str, ...]) -> None:
        try:
            for name in preload:
                self._heartbeat.begin(0, _FIRST_WORDS.get(name, "Preparing"))
                importlib.import_module(name)
            # Libraries stay: looking through their million objects for garbage takes a quarter of a second every time.
            gc.freeze()
        except Exception as error:  # told to every job instead
            self._missing = explain_exception(error)
        self._heartbeat.end()
        self._tell("warm")

    def _serve(self, number: int, parcel: Any, buffers: list[bytearray]) -> None:
        with self._deciding:
            self._begun = number
            if self._cancelled == number:
                return
        earlier = _children()
        self._heartbeat.begin(number, "Receiving the image")
        outcome = self._outcome(number, parcel, buffers)
        if isinstance(outcome, MedAIError):
            # A model that is converted for later jobs has nothing to do with this one's failure.
            converting = self._models.converting if self._models is not None else None
            _end_children(but={*earlier, converting})
        self._heartbeat.report(Progress("Handing over the result"))
        self._deliver(number, outcome)

    def _outcome(self, number: int, parcel: Any, buffers: list[bytearray]) -> Any:
        def report(progress: Progress) -> None:
            if self._cancelled == number:
                raise cancelled()
            self._heartbeat.report(progress)

        release = None
        try:
            if self._missing is not None:
                return self._missing
            from medai.jobs.parcel import unpack

            job, release = unpack(parcel, buffers, copy=False)
            self._tell("received", number)
            report(Progress("Starting"))
            return self._run(job, report)
        except BaseException as error:  # whatever a task does, the worker goes on
            explained = explain_exception(error)
            error.__traceback__ = None  # its frames hold images
            if not isinstance(error, MedAIError):
                if self._models is not None:
                    self._models.close()
                self._models = None  # a fresh start, and the memory back
                gc.collect()
            return explained
        finally:
            job = None
            if release is not None:
                release()

    def _run(self, job: Any, report: Any) -> Any:
        from medai.engine.loaded import LoadedModels

        if self._models is None:
            self._models = LoadedModels(backends=True)
        task: Any = importlib.import_module(self._extra.get(job.task, "medai.tasks"))
        return task.run(job, report, self._models)

    def _deliver(self, number: int, outcome: Any) -> None:
        name = output_name(self._key, number)
        try:
            from medai.jobs.parcel import pack

            parcel, block, buffers = pack(outcome, name)
        except ImportError as error:
            self._heartbeat.end()
            self._tell("failed", number, explain_exception(error))
            return
        except Exception as error:
            unlink(name)
            lost = explain_exception(error) if isinstance(error, MemoryError) else None
            outcome = lost or JobError(
                "The result could not be handed over.",
                "The model's task made something that cannot be sent between processes.",
                "Report this with the log.",
                details=str(explain_exception(error).details),
            )
            parcel, block, buffers = pack(outcome, name)
        self._handed_over = block
        self._heartbeat.end()
        self._tell("done", number, parcel, buffers=buffers)

    # The thread that hears the parent.

    def _hear(self) -> None:
        try:
            while True:
                kind, *content, buffers = self._channel.receive()
                if kind == "job":
                    self._jobs.put((content[0], content[1], buffers))
                elif kind == "cancel":
                    self._give_up(content[0])
                elif kind == "taken":
                    block, self._handed_over = self._handed_over, None
                    if block is not None:
                        block.release()
                elif kind == "close":
                    self._leave()
        except ClosedError:
            self._leave()
        except BaseException:  # deaf, the worker would be of no use: the parent sees it end and reads why
            traceback.print_exc()
            os._exit(1)

    def _give_up(self, number: int) -> None:
        with self._deciding:
            self._cancelled = number
            waiting = self._begun < number
        if waiting:
            self._tell("failed", number, cancelled())

    # Any thread.

    def _tell(self, *message: Any, buffers: list[memoryview] | None = None) -> None:
        try:
            with self._sending:
                self._channel.send(*message, buffers=buffers or [])
        except ClosedError:
            self._leave()

    def _look_around(self) -> None:
        if not self._parent.lives():
            self._leave()
        with contextlib.suppress(OSError):
            _bound_log(self._folder / LOG_NAME)

    def _leave(self) -> None:
        """End at once. What a living parent clears itself is cleared here too, because it may be dying just now."""
        for number in (self._begun, self._begun + 1):
            unlink(input_name(self._key, number))
            unlink(output_name(self._key, number))
        with contextlib.suppress(Exception):  # whatever it is, this process ends now
            if self._models is not None:
                self._models.close()
        _end_children(but=set())
        shutil.rmtree(self._folder / TEMP_NAME, ignore_errors=True)
        with contextlib.suppress(OSError):  # Windows does not let go of a log that is still open
            (self._folder / LOG_NAME).unlink()
        with contextlib.suppress(OSError):
            self._folder.rmdir()
        os._exit(0)  # not `sys.exit`: the main thread may be deep in native code


class _Parent:
    """Whether the parent process is still there. Its socket tells too, unless a fork of the parent holds it open."""

    def __init__(self, pid: int) -> None:
        self._process: Any = None
        with contextlib.suppress(Exception):  # without psutil the socket has to do
            import psutil

            self._process = psutil.Process(pid)

    def lives(self) -> bool:
        if self._process is None:
            return True
        try:
            return bool(self._process.is_running()) and self._process.status() != "zombie"
        except Exception:  # gone, or no longer ours to ask
            return False


def _children() -> dict[int, Any]:
    """Processes below this one, by process id."""
    try:
        import psutil

        return {child.pid: child for child in psutil.Process().children(recursive=True)}
    except Exception:  # without psutil, or not allowed to look
        return {}


def _end_children(but: Container[int | None]) -> None:
    """Kill the processes that a job has started and left behind."""
    for pid, child in _children().items():
        if pid not in but:
            with contextlib.suppress(Exception):  # gone meanwhile
                if not clears_up(child.cmdline()):
                    child.kill()


def _bound_log(path: Path) -> None:
    """Forget the log's beginning before a chatty library fills the disk."""
    if path.stat().st_size > _LOG_LIMIT:
        with path.open("rb") as log:
            log.seek(-_LOG_KEPT, os.SEEK_END)
            tail = log.read()
        os.truncate(path, 0)
        os.write(2, tail)


def _write_to_log(path: Path) -> None:
    """Append what native and Python code print. Opened here too, because on Windows an inherited handle would keep
    its place when the file is cut short."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.close(descriptor)
    with contextlib.suppress(AttributeError, OSError):
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def main() -> None:
    """Connect to the parent that started this process, and serve it."""
    folder = Path.cwd()
    _write_to_log(folder / LOG_NAME)
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    address = os.environ.pop(ADDRESS_VARIABLE, "").split()
    if len(address) != 5:
        sys.exit("This program is started by medai itself: see medai.jobs.Worker.")
    port, secret, answer, parent, key = address
    try:
        channel = connect(int(port), bytes.fromhex(secret), bytes.fromhex(answer))
        Serving(channel, key, int(parent), folder).run()
    except ClosedError:
        sys.exit("The program that started this worker has ended.")


if __name__ == "__main__":
    main()
