"""Jobs that go well: voxels there and back, progress, order, warmth."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from medai.errors import DependencyError, InputError, JobError
from medai.jobs import Job
from medai.jobs.process import python_executable
from medai.volume import Series, Volume


def test_voxels_arrive_and_come_back_unchanged(a_worker, a_job, a_volume):
    result = a_worker.submit(a_job("echo")).wait()
    (back,) = result.items
    assert np.array_equal(back.array, a_volume.array)
    assert back.array.dtype == a_volume.array.dtype
    assert np.array_equal(back.affine, a_volume.affine)
    assert (back.name, back.modality, back.id) == ("head", "MR", "node1")


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, ">i2", np.uint16, np.int64, np.float32, np.float64, bool])
def test_every_voxel_type_survives(a_worker, a_job, dtype):
    array = (np.random.default_rng(1).integers(0, 100, (20, 60, 70)) > 50).astype(dtype)
    (back,) = a_worker.submit(a_job("echo", Volume(array, np.eye(4)))).wait().items
    assert back.array.dtype == np.dtype(dtype)
    assert np.array_equal(back.array, array)


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[:, ::2, 1:-1],
        lambda a: a[::-1],
        lambda a: a.transpose(2, 1, 0),
        np.asfortranarray,
        lambda a: np.broadcast_to(a[:1], a.shape),
        lambda a: a[:1, :3, :2],
    ],
    ids=["strided", "flipped", "transposed", "fortran", "broadcast", "tiny"],
)
def test_arrays_of_any_layout_survive(a_worker, a_job, a_volume, view):
    array = view(a_volume.array)
    (back,) = a_worker.submit(a_job("echo", Volume(array, np.eye(4)))).wait().items
    assert np.array_equal(back.array, array)


def test_the_worker_sees_voxels_in_shared_memory_without_a_copy(a_worker, a_job, a_volume):
    columns = a_worker.submit(a_job("describe_input")).wait().table.columns
    assert columns["owns"] == (False,)
    assert columns["aligned"] == (True,)
    assert columns["sum"] == (int(a_volume.array.sum()),)


def test_a_read_only_image_is_accepted_and_the_original_is_untouched(a_worker, a_job, a_volume):
    before = a_volume.array.copy()
    a_volume.array.setflags(write=False)
    a_worker.submit(a_job("echo")).wait()
    assert np.array_equal(a_volume.array, before)


def test_a_result_owns_its_voxels_and_can_be_written_to(a_worker, a_job):
    (back,) = a_worker.submit(a_job("echo")).wait().items
    a_worker.close()
    back.array[0, 0, 0] = 7
    assert back.array[0, 0, 0] == 7


def test_a_series_keeps_its_frames(a_worker, a_volume):
    series = Series((a_volume, a_volume), (0.0, 1.5), "s", "cine")
    job = Job("fault", Path("/bundles/none"), series, {"do": "tell_pid"})
    assert a_worker.submit(job).wait().table.columns["pid"]


def test_nothing_stays_in_shared_memory_after_a_job(a_worker, a_job, shared_blocks):
    a_worker.submit(a_job("echo")).wait()
    assert shared_blocks() == []


def test_the_worker_stays_warm_between_jobs(a_worker, a_job):
    first, second = (a_worker.submit(a_job("tell_pid")).wait().table.columns["pid"] for _ in range(2))
    assert first == second != (os.getpid(),)


def test_jobs_wait_for_each_other_in_order(a_worker, a_job):
    jobs = [a_worker.submit(a_job("steps", count=3, delay_s=0.01)) for _ in range(4)]
    ended: list[int] = []
    while len(ended) < len(jobs):
        for n, running in enumerate(jobs):
            running.poll()
            if running.done and n not in ended:
                ended.append(n)
    assert ended == [0, 1, 2, 3]


def test_a_waiting_job_says_so(a_worker, a_job, until_stage):
    first = a_worker.submit(a_job("steps", count=1000, delay_s=0.01))
    second = a_worker.submit(a_job("echo"))
    until_stage(first, "Segmenting")
    assert second.last_progress.stage == "Waiting for another job"
    first.cancel()
    second.wait()


def test_submitting_and_polling_never_wait_for_the_worker(a_worker, a_job):
    running = a_worker.submit(a_job("one_report_then_sleep", seconds=1.5))
    calls = 0
    while not running.done:
        running.poll()
        calls += 1
    assert calls > 100


def test_progress_comes_at_least_four_times_a_second_from_a_silent_task(a_worker, a_job):
    reports = []
    a_worker.submit(a_job("one_report_then_sleep", seconds=3)).wait(reports.append)
    during = [progress for progress in reports if progress.stage == "Segmenting"]
    assert len(during) >= 12
    elapsed = [progress.elapsed_s for progress in reports]
    assert elapsed == sorted(elapsed)
    assert during[-1].eta_s < during[0].eta_s


def test_progress_goes_on_while_native_code_lets_no_thread_of_the_worker_speak(a_worker, a_job):
    if sys.platform == "win32":
        pytest.skip("uses sleep of the C library")
    reports = []
    a_worker.submit(a_job("hold_the_gil", seconds=2)).wait(reports.append)
    assert sum(progress.stage == "Segmenting" for progress in reports) >= 8


def test_stages_and_notes_are_all_told_however_quick(a_worker, a_job):
    reports = []
    a_worker.submit(a_job("note", text="Running on the CPU: no GPU found")).wait(reports.append)
    assert [progress.note for progress in reports if progress.note] == ["Running on the CPU: no GPU found"]
    stages = [progress.stage for progress in reports]
    assert stages.index("Receiving the image") < stages.index("Segmenting")


def test_remaining_time_is_told_without_steps_finishing(a_worker, a_job, until_stage):
    running = a_worker.submit(a_job("one_report_then_sleep", seconds=60))
    until_stage(running, "Segmenting")
    first = running.last_progress.eta_s
    while running.last_progress.eta_s > first - 0.3:
        running.poll()
    running.cancel()


def test_a_small_shared_memory_is_replaced_by_the_socket_and_said_aloud(a_worker, a_job, a_volume, monkeypatch):
    def full(name, size):
        raise NoSharedMemoryError(28, "No space left on device")

    from medai.jobs.memory import Block, NoSharedMemoryError

    monkeypatch.setattr(Block, "create", full)
    reports = []
    (back,) = a_worker.submit(a_job("echo")).wait(reports.append).items
    assert np.array_equal(back.array, a_volume.array)
    assert any("Shared memory is too small" in progress.note for progress in reports)


def test_a_block_larger_than_shared_memory_is_refused_not_overcommitted(shared_blocks):
    from medai.jobs.memory import Block, NoSharedMemoryError

    room = os.statvfs("/dev/shm")
    with pytest.raises(NoSharedMemoryError):
        Block.create(f"medai-{os.getpid():x}-test", room.f_blocks * room.f_frsize + (1 << 30))
    assert shared_blocks() == []


def test_parameters_that_cannot_be_sent_are_refused(a_worker, a_job):
    with pytest.raises(InputError, match="parameters"):
        a_worker.submit(a_job("echo", callback=lambda: None)).wait()
    a_worker.submit(a_job("echo")).wait()


def test_several_threads_may_use_one_worker(a_worker, a_job):
    sums: list[int] = []

    def work():
        sums.append(a_worker.submit(a_job("describe_input")).wait().table.columns["sum"][0])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(sums)) == 1
    assert len(sums) == 4


def test_modules_lying_in_the_callers_folder_are_not_imported(make_worker, a_job, tmp_path, monkeypatch):
    (tmp_path / "psutil.py").write_text("raise RuntimeError('somebody else wrote this')")
    monkeypatch.chdir(tmp_path)
    cwd = make_worker().submit(a_job("tell_pid")).wait().table.columns["cwd"][0]
    assert Path(cwd) != tmp_path


def test_a_closed_worker_leaves_no_process_and_no_folder_and_takes_no_job(a_worker, a_job, process_of, until):
    (folder,) = a_worker.submit(a_job("tell_pid")).wait().table.columns["cwd"]
    process = process_of(a_worker)
    a_worker.close()
    until(lambda: not process.is_running())
    assert not Path(folder).exists()
    with pytest.raises(JobError, match="closed"):
        a_worker.submit(a_job("echo"))
    a_worker.close()


def test_a_forgotten_worker_ends_its_process(make_worker, a_job, process_of, until):
    from medai.jobs import Worker

    worker = Worker(preload=(), extra_tasks={"fault": "fault_task"})
    make_worker()
    worker.submit(a_job("echo")).wait()
    process = process_of(worker)
    del worker
    until(lambda: not process.is_running())


def test_the_parent_never_imports_torch(a_job, tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent / 'child_side')!r})\n"
        "from pathlib import Path\n"
        "import numpy as np, medai, medai.jobs\n"
        "from medai.volume import Volume\n"
        "if __name__ == '__main__':\n"
        "    job = medai.Job('fault', Path('/none'), (Volume(np.zeros((2, 2, 2)), np.eye(4)),), {'do': 'tell_pid'})\n"
        "    with medai.jobs.Worker(preload=('torch',), extra_tasks={'fault': 'fault_task'}) as worker:\n"
        "        assert worker.submit(job).wait().table.columns['torch'] == (True,)\n"
        "    loaded = [name for name in ('torch', 'monai', 'slicer', 'vtk') if name in sys.modules]\n"
        "    assert not loaded, loaded\n"
    )
    root = Path(sys.modules["medai"].__file__).parents[1]
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_a_script_that_ends_without_closing_leaves_no_process_and_no_words(tmp_path, until):
    import psutil

    script = tmp_path / "forgetful.py"
    script.write_text(
        "import medai.jobs, time\n"
        "worker = medai.jobs.default_worker(); worker.start()\n"
        "assert medai.jobs.default_worker() is worker\n"
        "print(worker.pid, flush=True)\n"
    )
    root = Path(sys.modules["medai"].__file__).parents[1]
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    until(lambda: not psutil.pid_exists(int(done.stdout)))


def test_inside_slicer_its_own_python_is_used(tmp_path, monkeypatch):
    suffix = ".exe" if sys.platform == "win32" else ""
    application, python = tmp_path / f"SlicerApp-real{suffix}", tmp_path / f"PythonSlicer{suffix}"
    for program in (application, python):
        program.touch()
    monkeypatch.setattr(sys, "executable", str(application))
    assert python_executable() == python


def test_on_a_mac_slicers_python_lies_in_the_bin_folder(tmp_path, monkeypatch):
    suffix = ".exe" if sys.platform == "win32" else ""
    python = tmp_path / "Contents" / "bin" / f"PythonSlicer{suffix}"
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "Contents" / "MacOS" / "Slicer"))
    assert python_executable() == python


def test_an_application_without_a_python_is_told_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "SomeApp"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DependencyError, match="MEDAI_PYTHON"):
        python_executable()
