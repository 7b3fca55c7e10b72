"""Several workers in one program, several programs on one computer: none disturbs another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from medai.errors import WorkerDiedError
from medai.volume import Volume

ROOT = Path(sys.modules["medai"].__file__).parents[1]


@pytest.fixture
def two_workers(make_worker):
    return make_worker(), make_worker()


def test_two_workers_work_at_the_same_time_on_their_own_images(two_workers, a_job):
    volumes = [Volume(np.full((40, 60, 60), n, np.uint8), np.eye(4), str(n)) for n in range(2)]
    for _ in range(3):
        running = [worker.submit(a_job("echo", volume)) for worker, volume in zip(two_workers, volumes, strict=True)]
        for one, volume in zip(running, volumes, strict=True):
            (back,) = one.wait().items
            assert (back.array == volume.array).all()
            assert back.name == volume.name
    assert two_workers[0].pid != two_workers[1].pid


def test_a_worker_that_dies_or_is_closed_leaves_the_other_alone(two_workers, a_job, until_stage):
    first, second = two_workers
    goes_on = second.submit(a_job("steps", count=60, delay_s=0.02))
    until_stage(goes_on, "Segmenting")
    with pytest.raises(WorkerDiedError):
        first.submit(a_job("segfault")).wait()
    first.close()
    goes_on.wait()
    assert second.submit(a_job("echo")).wait().items


PROGRAM = """
import sys
sys.path.insert(0, {child_side!r})
from pathlib import Path
import numpy as np
from medai.jobs import Job, Worker
from medai.volume import Volume
volume = Volume(np.full((40, 60, 60), {value}, np.uint8), np.eye(4))
with Worker(preload=(), extra_tasks={{"fault": "fault_task"}}) as worker:
    while True:
        (back,) = worker.submit(Job("fault", Path("/none"), (volume,), {{"do": "echo"}})).wait().items
        assert (back.array == {value}).all()
        print(worker.pid, flush=True)
"""


def test_a_program_that_is_killed_leaves_the_jobs_of_another_alone(tmp_path, until):
    child_side = str(Path(__file__).parent / "child_side")
    programs = []
    try:
        for value in (1, 2):
            script = tmp_path / f"program{value}.py"
            script.write_text(PROGRAM.format(child_side=child_side, value=value))
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            programs.append(
                subprocess.Popen([sys.executable, str(script)], env=environment, stdout=subprocess.PIPE, text=True)
            )
        workers = [int(program.stdout.readline()) for program in programs]
        programs[0].kill()
        programs[0].wait()
        until(lambda: not psutil.pid_exists(workers[0]))
        for _ in range(20):
            assert int(programs[1].stdout.readline()) == workers[1]
    finally:
        for program in programs:
            program.kill()
            program.communicate()
    until(lambda: not any(psutil.pid_exists(pid) for pid in workers))
