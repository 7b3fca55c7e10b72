"""``python -m monai.bundle run`` in a process of its own, without the seconds that importing MONAI takes each time."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
import tempfile
from pathlib import Path

import torch

# Where the system can, a process is the copy of one that has imported MONAI and nothing of medai.
_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
_processes = multiprocessing.get_context(_METHOD)
_processes.set_forkserver_preload(["monai.bundle.__main__"])


class BundleRun:
    """A run that has been started, with as many threads as this process has.

    Parameters
    ----------
    *arguments : str or path
        What follows ``python -m monai.bundle run``.
    cwd : Path
        Working folder, also the first place where the run looks for modules.
    **environment : str
        Changes of the environment.
    """

    def __init__(self, *arguments: str | Path, cwd: Path, **environment: str) -> None:
        with tempfile.NamedTemporaryFile(suffix=".log", delete=False) as file:
            self._said = Path(file.name)
        # Sums of floating-point numbers depend on how threads share them.
        threads = torch.get_num_threads()
        told = [str(argument) for argument in arguments], str(cwd), environment, str(self._said), threads
        self._process = _processes.Process(target=_run, args=told)
        self._process.start()

    def finish(self) -> str:
        """Wait for its end and return what it printed; an `AssertionError` with that when it failed."""
        self._process.join()
        said = self._said.read_text(encoding="utf-8", errors="replace")
        self._said.unlink()
        if self._process.exitcode:
            raise AssertionError(f"monai.bundle run ended with {self._process.exitcode}:\n{said[-6000:]}")
        return said


def run_bundle(*arguments: str | Path, cwd: Path, **environment: str) -> str:
    """Run to the end; for the parameters see `BundleRun`."""
    return BundleRun(*arguments, cwd=cwd, **environment).finish()


def _run(arguments: list[str], cwd: str, environment: dict[str, str], said: str, threads: int) -> None:
    with Path(said).open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    torch.set_num_threads(threads)
    os.environ.update(environment)
    os.chdir(cwd)
    sys.path.insert(0, cwd)
    sys.argv = ["monai.bundle", "run", *arguments]
    runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
