"""The worker as the operating system sees it: which Python, how it starts, how its whole tree ends."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from medai.errors import DependencyError, JobError
from medai.jobs.channel import SECRET_BYTES, Channel, Listener
from medai.jobs.failures import missing_package
from medai.jobs.memory import unlink
from medai.jobs.names import ADDRESS_VARIABLE, LOG_NAME, TEMP_NAME, clears_up, input_name, output_name

PYTHON_VARIABLE = "MEDAI_PYTHON"
_TAIL_BYTES = 16 * 1024
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE)


def python_executable() -> Path:
    """The Python that runs models.

    ``MEDAI_PYTHON`` where it is set; inside Slicer the ``PythonSlicer`` beside it, because ``sys.executable`` is the
    application there and would open a second window; this Python otherwise.

    Raises
    ------
    DependencyError
        When Slicer's Python cannot be found.
    """
    chosen = os.environ.get(PYTHON_VARIABLE)
    if chosen:
        return Path(chosen)
    own = Path(sys.executable) if sys.executable else Path()
    if "python" in own.name.lower():
        return own
    name = "PythonSlicer.exe" if sys.platform == "win32" else "PythonSlicer"
    slicer = sys.modules.get("slicer")  # never imported here: outside Slicer that would load all of VTK
    home = getattr(getattr(slicer, "app", None), "slicerHome", "") or os.environ.get("SLICER_HOME", "")
    folders = [own.parent, own.parent.parent / "bin", *([Path(str(home)) / "bin"] if home else [])]
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    found = shutil.which("PythonSlicer")
    if found:
        return Path(found)
    raise DependencyError(
        "The Python program that runs models was not found.",
        "This application does not bring PythonSlicer in its 'bin' folder.",
        f"Reinstall Slicer, or set the environment variable {PYTHON_VARIABLE} to a Python that has medai installed.",
        details=f"sys.executable: {sys.executable}; looked in {', '.join(map(str, folders))} and on PATH",
    )


class Process:
    """A worker process from its start to its end, with its log and its connection.

    Parameters
    ----------
    executable : Path
        Python, or a launcher that starts one in its place.

    Attributes
    ----------
    key : str
        Prefix of the names of its shared memory, unique on this computer.
    started : float
        `time.monotonic` of its start.
    number : int
        Of the last job given to it.
    warm : bool
        Whether it has imported all it needs.
    channel : Channel or None
        Once it has connected.

    Raises
    ------
    DependencyError
        When the program cannot be started, or psutil is not installed.
    JobError
        When there is no room for its temporary folder, or the system gives no more processes or sockets.
    """

    def __init__(self, executable: Path) -> None:
        try:
            import psutil  # Slicer does not bring it: opening a panel must not need it, running a job does
        except ImportError as error:
            raise missing_package("psutil", str(error)) from error
        self.key = f"medai-{os.getpid():x}-{secrets.token_hex(3)}"
        self.started = time.monotonic()
        self.number = 0
        self.warm = False
        self.channel: Channel | None = None
        expected, answer = secrets.token_bytes(SECRET_BYTES), secrets.token_bytes(SECRET_BYTES)
        try:
            # Also the child's working directory: `-m` puts that first on its path, so it must hold nobody's modules.
            self._folder = Path(tempfile.mkdtemp(prefix="medai-"))
            (self._folder / TEMP_NAME).mkdir()
            self._listener = Listener(expected, answer)
        except OSError as error:
            raise _not_prepared(error) from error
        environment = dict(os.environ)
        root = str(Path(__file__).resolve().parents[2])
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH", "")]))
        environment["PYTHONIOENCODING"] = "utf-8:backslashreplace"
        # PyTorch on Linux takes large arrays in large pages: small ones would cost a fifth of a forward pass.
        environment.setdefault("THP_MEM_ALLOC_ENABLE", "1")
        # Whatever the worker and its helpers leave behind, however they end, goes with the folder.
        environment |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(self._folder / TEMP_NAME))
        environment[ADDRESS_VARIABLE] = " ".join(
            [str(self._listener.port), expected.hex(), answer.hex(), str(os.getpid()), self.key]
        )
        self._psutil: Any = None
        try:
            with (self._folder / LOG_NAME).open("ab") as log:
                self._popen = subprocess.Popen(  # noqa: S603 - no shell, our own module
                    [str(executable), "-m", "medai.jobs.child"],
                    cwd=self._folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    # A group of its own: Ctrl-C in a terminal is for the parent, which then ends the job properly.
                    start_new_session=sys.platform != "win32",
                    creationflags=_windows_flags(),
                )
        except OSError as error:
            self._listener.close()
            shutil.rmtree(self._folder, ignore_errors=True)
            if error.errno in _NO_ROOM:
                raise _not_prepared(error) from error
            raise DependencyError(
                "The Python program that runs models could not be started.",
                f"'{executable}' is missing or may not be run.",
                "Reinstall Slicer or this Python environment, or ask your administrator to allow this program.",
                details=str(error),
            ) from error
        with contextlib.suppress(psutil.Error):
            self._psutil = psutil.Process(self._popen.pid)

    @property
    def pid(self) -> int:
        """Of the process this one started: the worker, or its launcher."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it (POSIX)."""
        return self._popen.poll()

    def accept(self) -> bool:
        """Whether the worker has connected; never waits."""
        if self.channel is None:
            self.channel = self._listener.accept()
        return self.channel is not None

    def waitables(self) -> Sequence[Channel | socket.socket]:
        """Sockets on which something may arrive."""
        return [self.channel] if self.channel is not None else list(self._listener.sockets())

    def log_tail(self) -> str:
        """The last words of the worker on its standard output and error."""
        try:
            with (self._folder / LOG_NAME).open("rb") as log:
                log.seek(0, os.SEEK_END)
                log.seek(max(0, log.tell() - _TAIL_BYTES))
                return log.read().decode("utf-8", "replace").strip()
        except OSError:
            return ""

    def wait(self, timeout_s: float) -> int | None:
        """Give it `timeout_s` to end by itself; its exit code, or None when it still runs."""
        try:
            return self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """End the worker and everything it has started, at once and whatever it is doing."""
        import psutil

        tree: list[Any] = []
        with contextlib.suppress(psutil.Error):
            if self._psutil is not None and self._popen.returncode is None:
                tree = [*self._psutil.children(recursive=True), self._psutil]
        for process in tree:
            with contextlib.suppress(psutil.Error):
                if not clears_up(process.cmdline()):
                    process.kill()
        # Whoever has left the tree (its own parent ended first) is still in the worker's session; once more, for those
        # that were being started just now.
        for _ in range(2):
            for process in self._group():
                with contextlib.suppress(psutil.Error):
                    process.kill()
        psutil.wait_procs([p for p in tree if p.pid != self._popen.pid], timeout=0.3)
        self.wait(1.0)

    def _group(self) -> Iterator[Any]:
        """Processes of the worker's session, but for the one that clears up after them and then ends by itself."""
        import psutil

        for pid in psutil.pids() if sys.platform != "win32" else ():
            with contextlib.suppress(OSError, psutil.Error):
                if os.getpgid(pid) == self._popen.pid and not clears_up((process := psutil.Process(pid)).cmdline()):
                    yield process

    def close(self) -> None:
        """Let go of the connection, shared memory, log and temporary folder of a process that has ended."""
        for name in (input_name(self.key, self.number), output_name(self.key, self.number)):
            unlink(name)
        self._listener.close()
        if self.channel is not None:
            self.channel.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _not_prepared(error: OSError) -> JobError:
    return JobError(
        "The program that runs the model could not be started.",
        f"Nothing can be written to the folder for temporary files, or the system's limits are reached: "
        f"{error.strerror or error}.",
        "Free some disk space, close other programs, or set the environment variable TMPDIR to another folder.",
        details=repr(error),
    )


def _windows_flags() -> int:
    if sys.platform != "win32":
        return 0
    return subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
