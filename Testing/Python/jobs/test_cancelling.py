"""A cancelled job is over within a second, whatever it is doing, and leaves nothing of itself."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil
import pytest

from medai.errors import JobCancelled

WITHIN_S = 1.0


def cancel_and_time(running) -> float:
    began = time.monotonic()
    running.cancel()
    with pytest.raises(JobCancelled):
        running.result()
    return time.monotonic() - began


def test_a_job_that_reports_stops_by_itself_and_its_worker_stays_warm(a_worker, a_job, until_stage):
    pid = a_worker.submit(a_job("tell_pid")).wait().table.columns["pid"]
    running = a_worker.submit(a_job("steps", count=10_000, delay_s=0.01))
    until_stage(running, "Segmenting")
    assert cancel_and_time(running) < WITHIN_S
    assert a_worker.submit(a_job("tell_pid")).wait().table.columns["pid"] == pid


@pytest.mark.parametrize(
    ("do", "parameters"),
    [
        ("one_report_then_sleep", {"seconds": 60}),
        ("hold_the_gil", {"seconds": 60}),
        ("swallow_cancel", {}),
    ],
)
def test_a_job_that_does_not_listen_is_ended_and_the_next_one_works(a_worker, a_job, until_stage, do, parameters):
    running = a_worker.submit(a_job(do, **parameters))
    until_stage(running, "Segmenting")
    time.sleep(0.5)
    assert cancel_and_time(running) < WITHIN_S
    assert a_worker.pid is None
    a_worker.submit(a_job("echo")).wait()


@pytest.mark.parametrize("cooperative", [True, False])
def test_processes_started_by_the_job_end_with_it(a_worker, a_job, tmp_path, until, cooperative):
    pids = tmp_path / "pids"
    running = a_worker.submit(a_job("spawn_children", pids=str(pids), cooperative=cooperative))
    until(lambda: running.poll() is not None and pids.exists() and len(pids.read_text().split()) == 2)
    children = [psutil.Process(int(pid)) for pid in pids.read_text().split()]
    assert cancel_and_time(running) < WITHIN_S

    def ended(process: psutil.Process) -> bool:
        try:
            return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    until(lambda: all(ended(child) for child in children), limit_s=1.0)


def test_cancel_returns_at_once(a_worker, a_job, until_stage):
    running = a_worker.submit(a_job("one_report_then_sleep", seconds=60))
    until_stage(running, "Segmenting")
    began = time.monotonic()
    running.cancel()
    assert time.monotonic() - began < 0.2


def test_a_caller_who_never_looks_again_still_gets_rid_of_the_job(a_worker, a_job, until_stage, process_of, until):
    running = a_worker.submit(a_job("one_report_then_sleep", seconds=60))
    until_stage(running, "Segmenting")
    process = process_of(a_worker)
    running.cancel()
    until(lambda: not process.is_running(), limit_s=WITHIN_S)


def test_a_waiting_job_is_cancelled_at_once_and_the_running_one_goes_on(a_worker, a_job, until_stage):
    first = a_worker.submit(a_job("steps", count=50, delay_s=0.01))
    second, third = a_worker.submit(a_job("echo")), a_worker.submit(a_job("echo"))
    until_stage(first, "Segmenting")
    second.cancel()
    assert second.done
    with pytest.raises(JobCancelled):
        second.result()
    first.wait()
    third.wait()


def test_a_job_cancelled_while_the_worker_starts_is_over_at_once(a_worker, a_job):
    running = a_worker.submit(a_job("echo"))
    assert cancel_and_time(running) < WITHIN_S
    a_worker.submit(a_job("echo")).wait()


def test_a_job_cancelled_while_the_worker_loads_its_libraries_is_over(make_worker, a_job, until_stage, shared_blocks):
    worker = make_worker(preload=("slow_to_load",))
    running = worker.submit(a_job("echo"))
    until_stage(running, "Preparing")
    assert cancel_and_time(running) < WITHIN_S
    assert shared_blocks() == []
    worker.submit(a_job("echo")).wait()


def test_a_cancelled_job_has_no_result_even_if_it_had_just_finished(a_worker, a_job, until_stage):
    running = a_worker.submit(a_job("one_report_then_sleep", seconds=0.5))
    until_stage(running, "Segmenting")
    running.cancel()
    time.sleep(1.0)
    with pytest.raises(JobCancelled):
        running.result()


def test_cancelling_twice_or_after_the_end_changes_nothing(a_worker, a_job, until_stage):
    running = a_worker.submit(a_job("steps", count=10_000, delay_s=0.01))
    until_stage(running, "Segmenting")
    running.cancel()
    assert cancel_and_time(running) < WITHIN_S
    finished = a_worker.submit(a_job("echo"))
    finished.wait()
    finished.cancel()
    assert finished.result().items


@pytest.mark.parametrize("kind", [JobCancelled("Enough."), KeyboardInterrupt()])
def test_stopping_from_the_progress_callback_ends_the_job_first(a_worker, a_job, kind):
    def stop(progress):
        if progress.stage == "Segmenting":
            raise kind

    running = a_worker.submit(a_job("one_report_then_sleep", seconds=60))
    with pytest.raises(type(kind)):
        running.wait(stop)
    assert running.done
    assert not a_worker.busy


def test_closing_the_worker_cancels_what_runs_and_what_waits(a_worker, a_job, until_stage, shared_blocks, process_of):
    first, second = (a_worker.submit(a_job("one_report_then_sleep", seconds=60)) for _ in range(2))
    until_stage(first, "Segmenting")
    process = process_of(a_worker)
    a_worker.close()
    for running in (first, second):
        with pytest.raises(JobCancelled):
            running.result()
    assert not process.is_running()
    assert shared_blocks() == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs an interrupt from a terminal")
def test_an_interrupt_from_the_terminal_cancels_instead_of_killing_the_worker(tmp_path):
    import os
    import signal
    import subprocess

    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent / 'child_side')!r})\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from medai.jobs import Job, Worker\n"
        "from medai.volume import Volume\n"
        "job = Job('fault', Path('/none'), (Volume(np.zeros((2, 2, 2)), np.eye(4)),),\n"
        "          {'do': 'steps', 'count': 10000, 'delay_s': 0.01})\n"
        "worker = Worker(preload=(), extra_tasks={'fault': 'fault_task'})\n"
        "try:\n"
        "    worker.submit(job).wait(lambda progress: print(progress.stage, flush=True))\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted', worker.pid is not None, worker.busy, flush=True)\n"
    )
    root = Path(sys.modules["medai"].__file__).parents[1]
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    for line in parent.stdout:
        if line.strip() == "Segmenting":
            os.killpg(parent.pid, signal.SIGINT)
            break
    rest, _ = parent.communicate(timeout=20)
    assert "interrupted True False" in rest
