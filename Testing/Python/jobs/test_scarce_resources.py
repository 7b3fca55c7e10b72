"""Full shared memory, full disks and limits on memory: slower, or a typed error, and the next job works."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from medai.errors import JobError, OutOfMemoryError
from medai.jobs.memory import Block, NoSharedMemoryError
from medai.volume import Volume

ROOT = Path(sys.modules["medai"].__file__).parents[1]
linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of Linux")
MEGABYTE = 1 << 20

ECHO = """
import sys
sys.path.insert(0, {child_side!r})
from pathlib import Path
import numpy as np
from medai.jobs import Job, Worker
from medai.volume import Volume
{before}
array = np.arange(4 << 20, dtype=np.uint8).reshape(4, 1 << 10, 1 << 10)
job = Job("fault", Path("/none"), (Volume(array, np.eye(4)),), {{"do": "echo"}})
notes = set()
with Worker(preload=(), extra_tasks={{"fault": "fault_task"}}) as worker:
    for _ in range(2):
        (back,) = worker.submit(job).wait(lambda progress: notes.add(progress.note)).items
        assert (back.array == array).all()
print(*notes)
"""


@pytest.fixture
def echoes(tmp_path):
    """Runs two jobs of four megabytes there and back in a program of its own; what was told of them."""

    def run(before: str = "", *, wrapped: tuple[str, ...] = ()) -> str:
        script = tmp_path / "parent.py"
        script.write_text(ECHO.format(before=before, child_side=str(Path(__file__).parent / "child_side")))
        done = subprocess.run(
            [*wrapped, sys.executable, str(script)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@linux_only
def test_where_both_sides_may_make_only_small_blocks_voxels_go_through_the_socket(echoes):
    # The limit is handed down to the worker, so its result cannot go through shared memory either.
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))"
    assert "Shared memory is too small" in echoes(limit)


@linux_only
@pytest.mark.parametrize("size", ["1m", "6m"], ids=["full for both", "full for the second"])
def test_a_full_shared_memory_is_survived(echoes, size):
    mount = f'mount -t tmpfs -o size={size} tmpfs /dev/shm && exec "$@"'
    wrapped = ("unshare", "-m", "sh", "-c", mount, "sh")
    if (
        shutil.which("unshare") is None
        or subprocess.run([*wrapped, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("only the superuser may mount")
    told = echoes(wrapped=wrapped)
    # With room for one image, the second job may come before the first one's image has been given back.
    assert size != "1m" or "Shared memory is too small" in told


@linux_only
def test_a_block_of_that_name_is_not_taken_for_ones_own(shared_blocks):
    name = f"medai-{os.getpid():x}-twice"
    block = Block.create(name, MEGABYTE)
    with pytest.raises(NoSharedMemoryError):
        Block.create(name, MEGABYTE)
    assert shared_blocks() == [name]
    Block.attach(name, MEGABYTE).release()
    block.release()


@pytest.fixture
def a_large_volume():
    return Volume(np.zeros((256, 512, 512), np.uint8), np.eye(4), "large")


@pytest.fixture
def no_shared_memory(monkeypatch):
    def full(name, size):
        raise NoSharedMemoryError(28, "No space left on device")

    monkeypatch.setattr(Block, "create", full)


@linux_only
def test_a_worker_without_room_for_the_image_says_so_and_the_next_job_works(a_worker, a_job, a_large_volume):
    a_worker.submit(a_job("leave_little_memory", spare=32 * MEGABYTE)).wait()
    with pytest.raises(OutOfMemoryError, match="memory"):
        a_worker.submit(a_job("echo", a_large_volume)).wait()
    assert a_worker.submit(a_job("echo")).wait().items


@linux_only
@pytest.mark.usefixtures("no_shared_memory")
def test_a_worker_that_has_become_too_full_for_an_image_is_replaced(a_worker, a_job, a_large_volume):
    a_worker.submit(a_job("leave_little_memory", spare=32 * MEGABYTE)).wait()
    pid = a_worker.pid
    assert a_worker.submit(a_job("echo", a_large_volume)).wait().items
    assert a_worker.pid != pid


@linux_only
@pytest.mark.usefixtures("no_shared_memory")
def test_where_no_worker_may_have_enough_memory_the_job_ends(make_worker, a_job, tmp_path, python):
    limited = tmp_path / "python"
    limited.write_text(f"#!/bin/sh\nexport OPENBLAS_NUM_THREADS=1\nulimit -v 450000\nexec '{python}' \"$@\"\n")
    limited.chmod(0o755)
    worker = make_worker(executable=limited)
    with pytest.raises(OutOfMemoryError):
        worker.submit(a_job("echo", Volume(np.zeros((440, 1024, 1024), np.uint8), np.eye(4), "huge"))).wait()
    assert worker.submit(a_job("echo")).wait().items


def test_a_parent_without_room_for_the_result_says_so_and_the_next_job_works(
    a_worker, a_job, a_large_volume, monkeypatch
):
    def no_room(*arguments, **options):
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    a_worker.submit(a_job("echo")).wait()
    running = a_worker.submit(a_job("echo", a_large_volume))
    with monkeypatch.context() as patch:
        # A limit of address space would do, were it not for what this process has freed and still holds.
        patch.setattr("mmap.mmap", no_room)
        with pytest.raises(OutOfMemoryError):
            running.wait()
    assert a_worker.submit(a_job("echo")).wait().items


@linux_only
def test_a_parent_without_room_for_a_result_through_the_socket_says_so(a_worker, a_job, monkeypatch):
    from medai.jobs import channel

    first = a_worker.submit(a_job("echo"))
    first.wait()

    def refuse(sizes):
        raise MemoryError

    running = a_worker.submit(a_job("one_report_then_sleep", seconds=0.5))
    monkeypatch.setattr(channel._Assembly, "_expect", lambda self, phase, sizes: refuse(sizes))
    with pytest.raises(OutOfMemoryError):
        running.wait()
    monkeypatch.undo()
    a_worker.close()


@pytest.mark.parametrize("when", ["no folder", "no log"])
def test_a_full_disk_for_temporary_files_is_told_and_the_next_job_works(a_worker, a_job, monkeypatch, when):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        if when == "no folder":
            patch.setattr(tempfile, "mkdtemp", full)
        else:
            patch.setattr(Path, "open", full)
        with pytest.raises(JobError, match=r"temporary files.*No space left on device.*Free some disk space"):
            a_worker.submit(a_job("echo")).wait()
    assert a_worker.submit(a_job("echo")).wait().items
