"""Givens for jobs: workers whose process can be made to fail in every way."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from medai.jobs import Job, Worker
from medai.volume import Volume

CHILD_SIDE = Path(__file__).parent / "child_side"
SHARED_MEMORY = Path("/dev/shm")


def blocks_of(pid: int) -> list[str]:
    """Names of a process's blocks of shared memory, where the system lists them (Linux)."""
    return sorted(path.name for path in SHARED_MEMORY.glob(f"medai-{pid:x}-*"))


@pytest.fixture
def a_volume() -> Volume:
    """1.7 MB, so its voxels go through shared memory; every voxel differs from its neighbours."""
    array = np.arange(60 * 120 * 120, dtype=np.int16).reshape(60, 120, 120)
    return Volume(array, np.diag([1.0, 1.5, 2.0, 1.0]), "head", "MR", "node1")


@pytest.fixture
def a_job(a_volume: Volume):
    """Makes a job that does `do` in the worker process."""

    def make(do: str, volume: Volume = a_volume, **parameters: object) -> Job:
        return Job("fault", Path("/bundles/none"), (volume,), {"do": do, **parameters})

    return make


@pytest.fixture
def make_worker(monkeypatch: pytest.MonkeyPatch):
    """Makes workers that start in a fraction of a second, because they do not import torch."""
    monkeypatch.syspath_prepend(str(CHILD_SIDE))
    made: list[Worker] = []

    def make(**options: object) -> Worker:
        worker = Worker(**{"preload": (), "extra_tasks": {"fault": "fault_task"}, **options})
        made.append(worker)
        return worker

    yield make
    for worker in made:
        worker.close()
    assert blocks_of(os.getpid()) == []


@pytest.fixture
def a_worker(make_worker) -> Worker:
    return make_worker()


@pytest.fixture
def shared_blocks():
    """Names of this process's blocks of shared memory that exist now."""
    if not SHARED_MEMORY.is_dir():
        pytest.skip("shared memory cannot be listed on this system")
    return lambda: blocks_of(os.getpid())


@pytest.fixture
def until():
    """Waits for something to become true, with a limit that only a real failure reaches."""

    def wait(condition, limit_s: float = 20.0) -> None:
        end = time.monotonic() + limit_s
        while not condition():
            assert time.monotonic() < end, "it never happened"
            time.sleep(0.01)

    return wait


@pytest.fixture
def until_stage(until):
    """Polls a running job until it is in a stage."""

    def wait(running, stage: str) -> None:
        def reached() -> bool:
            running.poll()
            assert not running.done, f"the job ended before '{stage}'"
            return running.last_progress.stage == stage

        until(reached)

    return wait


@pytest.fixture
def process_of():
    """The operating system's view of a worker's process, whatever launcher is between."""

    def find(worker: Worker) -> psutil.Process:
        assert worker.pid is not None
        return psutil.Process(worker.pid)

    return find


@pytest.fixture
def python() -> str:
    return sys.executable
