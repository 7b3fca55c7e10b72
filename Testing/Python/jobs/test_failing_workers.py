"""Workers that crash, are killed, run out of memory, cannot start: a typed error, nothing left, the next job works."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from medai.errors import (
    DependencyError,
    GeometryError,
    InputError,
    JobError,
    MedAIError,
    OutOfMemoryError,
    WorkerDiedError,
)
from medai.jobs import Job, death

ROOT = Path(sys.modules["medai"].__file__).parents[1]
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")


@pytest.fixture
def then_everything_is_as_before(a_worker, a_job, shared_blocks):
    """Whatever happened: nothing is left of the job, and the next one works on a fresh process."""
    yield
    assert shared_blocks() == []
    assert a_worker.submit(a_job("echo")).wait().items
    assert shared_blocks() == []


def sentences_for_a_person(error: MedAIError) -> bool:
    shown = str(error)
    return all((error.what, error.why, error.remedy)) and not any(
        word in shown for word in ("Traceback", "SIG", "Error(", "exit code", ".py")
    )


@pytest.mark.usefixtures("then_everything_is_as_before")
class TestKilled:
    """SIGKILL in each stage."""

    def test_while_starting(self, a_worker, a_job, process_of):
        running = a_worker.submit(a_job("echo"))
        process_of(a_worker).kill()
        with pytest.raises(WorkerDiedError, match="starting") as raised:
            running.wait()
        assert sentences_for_a_person(raised.value)

    @posix_only
    def test_while_receiving(self, a_worker, a_job):
        from fault_task import KillsWhileUnpickling

        with pytest.raises(WorkerDiedError, match="Receiving"):
            a_worker.submit(a_job("echo", deadly=KillsWhileUnpickling())).wait()

    @posix_only
    def test_before_it_has_taken_up_the_job_a_fresh_one_does_it(self, a_worker, a_job, process_of, shared_blocks):
        a_worker.submit(a_job("echo")).wait()
        process = process_of(a_worker)
        process.suspend()
        running = a_worker.submit(a_job("echo"))
        running.poll()
        assert len(shared_blocks()) == 1
        process.kill()
        assert running.wait().items

    @pytest.mark.parametrize("stage", ["Preparing", "Segmenting", "Finishing"])
    def test_while_working(self, a_worker, a_job, process_of, until_stage, stage):
        running = a_worker.submit(a_job("one_report_then_sleep", seconds=60, stage=stage))
        until_stage(running, stage)
        process_of(a_worker).kill()
        with pytest.raises(WorkerDiedError, match=stage) as raised:
            running.wait()
        assert sentences_for_a_person(raised.value)
        assert "exit code" in raised.value.details

    def test_in_a_training_tells_that_it_goes_on(self, make_worker, a_job, process_of, until_stage):
        worker = make_worker(extra_tasks={"train": "fault_task"})
        running = worker.submit(replace(a_job("one_report_then_sleep", seconds=60, stage="Training"), task="train"))
        until_stage(running, "Training")
        process_of(worker).kill()
        with pytest.raises((WorkerDiedError, OutOfMemoryError), match="goes on from its last checkpoint") as raised:
            running.wait()
        assert sentences_for_a_person(raised.value)

    @posix_only
    def test_while_handing_over_the_result(self, a_worker, a_job):
        with pytest.raises(WorkerDiedError):
            a_worker.submit(a_job("die_while_handing_over")).wait()

    @posix_only
    def test_after_handing_over_the_result_is_still_good(self, a_worker, a_job, a_volume, shared_blocks, request):
        until, until_stage = request.getfixturevalue("until"), request.getfixturevalue("until_stage")
        running = a_worker.submit(a_job("sleep_then_echo", seconds=0.5))
        until_stage(running, "Segmenting")
        until(lambda: any(name.endswith("o") for name in shared_blocks()))  # nobody polls meanwhile
        time.sleep(0.3)
        psutil.Process(a_worker.pid).kill()
        (back,) = running.wait().items
        assert (back.array == a_volume.array).all()

    def test_with_jobs_waiting_behind(self, a_worker, a_job, process_of, until_stage):
        first = a_worker.submit(a_job("one_report_then_sleep", seconds=60))
        second = a_worker.submit(a_job("echo"))
        until_stage(first, "Segmenting")
        process_of(a_worker).kill()
        assert second.wait().items
        with pytest.raises(WorkerDiedError):
            first.result()

    def test_while_idle_is_not_the_next_jobs_trouble(self, a_worker, a_job, process_of, until):
        a_worker.submit(a_job("echo")).wait()
        process = process_of(a_worker)
        process.kill()
        until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
        assert a_worker.submit(a_job("echo")).wait().items


@pytest.mark.usefixtures("then_everything_is_as_before")
class TestCrashing:
    """The worker's own fault, or its task's."""

    def test_in_native_code(self, a_worker, a_job):
        with pytest.raises(WorkerDiedError, match="crashed") as raised:
            a_worker.submit(a_job("segfault")).wait()
        assert "native code" in raised.value.why
        assert sentences_for_a_person(raised.value)
        if sys.platform != "win32":
            assert "segfault" in raised.value.details  # the Python function that led there

    @pytest.mark.parametrize("code", [0, 3])
    def test_by_leaving(self, a_worker, a_job, code):
        with pytest.raises(WorkerDiedError, match="unexpectedly") as raised:
            a_worker.submit(a_job("leave", code=code)).wait()
        assert f"exit code: {code}" in raised.value.details

    @posix_only
    def test_by_a_signal(self, a_worker, a_job):
        with pytest.raises(WorkerDiedError, match="stopped"):
            a_worker.submit(a_job("kill_itself")).wait()

    @posix_only
    def test_by_a_signal_when_memory_was_short(self, a_worker, a_job, monkeypatch):
        monkeypatch.setattr(death, "memory_is_scarce", lambda available: available < (1 << 60))
        with pytest.raises(OutOfMemoryError, match="memory") as raised:
            a_worker.submit(a_job("kill_itself")).wait()
        assert sentences_for_a_person(raised.value)

    @posix_only
    def test_by_the_kernel_for_lack_of_memory(self, a_worker, a_job, monkeypatch):
        kills = iter([4, 5, 5])
        monkeypatch.setattr(death, "oom_kills", lambda: next(kills, 5))
        with pytest.raises(OutOfMemoryError):
            a_worker.submit(a_job("kill_itself")).wait()


class TestFailing:
    """Failures that the worker survives."""

    @pytest.fixture(autouse=True)
    def the_worker_goes_on(self, a_worker, a_job, shared_blocks):
        pid = a_worker.submit(a_job("tell_pid")).wait().table.columns["pid"]
        yield
        assert a_worker.submit(a_job("tell_pid")).wait().table.columns["pid"] == pid
        assert shared_blocks() == []

    def test_an_impossible_allocation_is_out_of_memory(self, a_worker, a_job):
        with pytest.raises(OutOfMemoryError) as raised:
            a_worker.submit(a_job("ask_for_too_much")).wait()
        assert "ask_for_too_much" in raised.value.details

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a limit on address space")
    def test_memory_that_runs_out_bit_by_bit_is_out_of_memory(self, a_worker, a_job):
        with pytest.raises(OutOfMemoryError):
            a_worker.submit(a_job("exhaust_memory")).wait()

    def test_an_unknown_exception_becomes_readable(self, a_worker, a_job):
        with pytest.raises(JobError) as raised:
            a_worker.submit(a_job("fail")).wait()
        assert sentences_for_a_person(raised.value)
        assert "upside down" in str(raised.value)
        assert "Traceback" in raised.value.details

    def test_an_error_of_ours_arrives_as_it_was(self, a_worker, a_job):
        with pytest.raises(GeometryError) as raised:
            a_worker.submit(a_job("fail_typed")).wait()
        error = raised.value
        assert (error.what, error.why, error.remedy) == ("The image is bent.", "Its axes cross.", "Straighten it.")
        # A refused input needs no traceback in anybody's log: the sentences say it all.
        assert error.details == "shear 0.3"

    def test_a_missing_package_is_named(self, a_worker, a_job):
        with pytest.raises(DependencyError, match="a_package_nobody_has") as raised:
            a_worker.submit(a_job("import_what_is_missing")).wait()
        assert "install" in raised.value.remedy

    def test_a_task_that_wants_to_end_python_only_ends_itself(self, a_worker, a_job):
        with pytest.raises(JobError):
            a_worker.submit(a_job("python_exit")).wait()

    def test_a_result_that_cannot_travel_is_an_error(self, a_worker, a_job):
        with pytest.raises(JobError, match="handed over"):
            a_worker.submit(a_job("make_something_unpicklable")).wait()

    def test_an_unknown_task_is_refused_even_if_such_a_module_exists(self, a_worker, a_volume):
        with pytest.raises(InputError, match="not a task"):
            a_worker.submit(Job("fault_task", Path("/bundles/none"), (a_volume,))).wait()

    def test_a_chatty_library_does_not_fill_the_disk(self, a_worker, a_job):
        (folder,) = a_worker.submit(a_job("tell_pid")).wait().table.columns["cwd"]
        a_worker.submit(a_job("chat", megabytes=8)).wait()
        assert sum(file.stat().st_size for file in Path(folder).iterdir()) < 4 << 20


class TestNotStarting:
    """A worker that never gets to its first job."""

    def test_without_its_program(self, make_worker, a_job, tmp_path):
        with pytest.raises(DependencyError, match="could not be started") as raised:
            make_worker(executable=tmp_path / "no_python").submit(a_job("echo")).wait()
        assert sentences_for_a_person(raised.value)

    def test_without_a_library(self, make_worker, a_job):
        worker = make_worker(preload=("a_package_nobody_has",))
        for _ in range(2):  # the second job is told too, not left waiting
            with pytest.raises(DependencyError, match="a_package_nobody_has"):
                worker.submit(a_job("echo")).wait()

    def test_without_torch(self, make_worker, a_job, tmp_path, monkeypatch):
        blocker = "import sys\nsys.modules['torch'] = None\n"
        (tmp_path / "usercustomize.py").write_text(blocker)
        (tmp_path / "sitecustomize.py").write_text(blocker)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        with pytest.raises(DependencyError, match="torch") as raised:
            make_worker(preload=("torch",)).submit(a_job("echo")).wait()
        assert "PyTorch" in raised.value.remedy

    def test_with_a_damaged_library(self, make_worker, a_job):
        with pytest.raises(DependencyError, match="damaged"):
            make_worker(preload=("damaged_library",)).submit(a_job("echo")).wait()

    @posix_only
    def test_with_a_python_that_has_nothing(self, make_worker, a_job, tmp_path, python):
        bare = tmp_path / "python"
        bare.write_text(f"#!/bin/sh\nunset PYTHONPATH\nexec '{python}' -S \"$@\"\n")
        bare.chmod(0o755)
        with pytest.raises(DependencyError, match="'medai' is not installed"):
            make_worker(executable=bare).submit(a_job("echo")).wait()

    @posix_only
    def test_with_a_python_that_has_no_packages(self, make_worker, a_job, tmp_path, python):
        bare = tmp_path / "python"
        bare.write_text(f"#!/bin/sh\nexec '{python}' -S \"$@\"\n")
        bare.chmod(0o755)
        worker = make_worker(executable=bare, extra_tasks={})
        worker.start()
        job = a_job("echo")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "path", [entry for entry in sys.path if "site-packages" not in entry])
            with pytest.raises(DependencyError, match="'numpy' is not installed"):
                worker.submit(job).wait()

    @posix_only
    def test_hanging(self, make_worker, a_job, tmp_path):
        hanging = tmp_path / "python"
        hanging.write_text("#!/bin/sh\nsleep 300\n")
        hanging.chmod(0o755)
        worker = make_worker(executable=hanging, start_timeout_s=0.5)
        running = worker.submit(a_job("echo"))
        process = psutil.Process(worker.pid)
        tree = [process, *process.children(recursive=True)]
        with pytest.raises(WorkerDiedError, match="did not start"):
            running.wait()
        assert not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in tree)

    @posix_only
    def test_behind_a_launcher_it_works_and_is_ended_all_the_same(self, make_worker, a_job, tmp_path, python, request):
        until = request.getfixturevalue("until")
        until_stage = request.getfixturevalue("until_stage")
        launcher = tmp_path / "PythonSlicer"
        launcher.write_text(f"#!/bin/sh\n'{python}' \"$@\"\nexit $?\n")
        launcher.chmod(0o755)
        worker = make_worker(executable=launcher)
        (pid,) = worker.submit(a_job("tell_pid")).wait().table.columns["pid"]
        assert pid != worker.pid
        running = worker.submit(a_job("one_report_then_sleep", seconds=60))
        until_stage(running, "Segmenting")
        running.cancel()
        with pytest.raises(MedAIError):
            running.wait()
        until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, limit_s=1)
        with pytest.raises(WorkerDiedError, match="crashed"):
            worker.submit(a_job("segfault")).wait()

    def test_a_stranger_who_knocks_is_not_let_in(self, make_worker, a_job, until):
        import socket

        worker = make_worker()
        running = worker.submit(a_job("echo"))
        process = psutil.Process(worker.pid)
        until(lambda: "MEDAI_WORKER" in process.environ())  # not before the new program has been loaded
        port = int(process.environ()["MEDAI_WORKER"].split()[0])
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as stranger:
                stranger.sendall(b"x" * 32)
                running.wait()
                assert stranger.recv(32) == b""
        except ConnectionError:
            running.wait()


@posix_only
class TestParentDying:
    """Nothing survives the parent."""

    @pytest.mark.parametrize(
        ("do", "parameters"),
        [
            ("one_report_then_sleep", {"seconds": 60}),
            ("steps", {"count": 10_000, "delay_s": 0.01}),
            ("echo", {}),
            ("litter", {"seconds": 60}),
        ],
    )
    def test_the_worker_ends_with_it(self, tmp_path, until, do, parameters):
        script = tmp_path / "parent.py"
        script.write_text(
            "import sys, time\n"
            f"sys.path.insert(0, {str(Path(__file__).parent / 'child_side')!r})\n"
            "from pathlib import Path\n"
            "import numpy as np\n"
            "from medai.jobs import Job, Worker\n"
            "from medai.volume import Volume\n"
            "volume = Volume(np.zeros((100, 100, 100)), np.eye(4))\n"
            f"job = Job('fault', Path('/none'), (volume,), {{'do': {do!r}, **{parameters!r}}})\n"
            "worker = Worker(preload=(), extra_tasks={'fault': 'fault_task'})\n"
            "running = worker.submit(job)\n"
            "while running.last_progress.stage not in ('Segmenting', 'Handing over the result'):\n"
            "    running.poll() if not running._news else running._news.clear()\n"
            "    if running.done: break\n"
            "print(worker.pid, flush=True)\n"
            "time.sleep(300)\n"
        )
        parent = subprocess.Popen(
            [sys.executable, str(script)],
            env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        worker = psutil.Process(int(parent.stdout.readline()))
        assert list(tmp_path.glob("medai-*"))
        parent.send_signal(signal.SIGKILL)
        until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, limit_s=2)
        parent.wait()
        assert not list(Path("/dev/shm").glob(f"medai-{parent.pid:x}-*"))
        assert not list(tmp_path.glob("medai-*"))


@pytest.mark.parametrize(
    ("exit_code", "log", "kind"),
    [
        (-signal.SIGSEGV, "", WorkerDiedError),
        (1, "terminate called after throwing an instance of 'std::bad_alloc'", OutOfMemoryError),
        (1, "RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried to allocate", OutOfMemoryError),
        (None, "", WorkerDiedError),
        (77, "", WorkerDiedError),
    ],
)
def test_the_cause_of_death_is_told_from_what_is_left(exit_code, log, kind):
    error = death.explain(exit_code, log, short_of_memory=False, stage="Segmenting")
    assert type(error) is kind
    assert sentences_for_a_person(error)
    assert log in error.details
