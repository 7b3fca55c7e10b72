"""A worker's temporary files go with it, whatever has made them and however it ends."""

from __future__ import annotations

import tempfile
from pathlib import Path

import psutil
import pytest

from medai.errors import MedAIError


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    """The folder for temporary files of this process, empty."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_what_a_job_leaves_lies_in_the_workers_folder_and_not_where_python_imports_from(temporary, a_worker, a_job):
    (left,) = a_worker.submit(a_job("litter")).wait().table.columns["Folder"]
    (of_worker,) = temporary.iterdir()
    assert of_worker in Path(left).parents
    assert (Path(left) / "listener").is_file()
    assert not list(of_worker.glob("*.py"))
    a_worker.close()
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("end", ["cancelled", "killed", "closed"])
def test_nothing_is_left_of_a_job_that_did_not_end_by_itself(temporary, a_worker, a_job, until_stage, end):
    running = a_worker.submit(a_job("litter", seconds=60))
    until_stage(running, "Segmenting")
    {"cancelled": running.cancel, "killed": psutil.Process(a_worker.pid).kill, "closed": a_worker.close}[end]()
    with pytest.raises(MedAIError):
        running.wait()
    a_worker.close()
    assert not list(temporary.iterdir())


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="semaphores cannot be listed on this system")
@pytest.mark.parametrize("end", ["cancelled", "killed", "closed"])
def test_semaphores_go_with_whoever_shared_them(tmp_path, a_worker, a_job, until, end):
    running = a_worker.submit(a_job("semaphore", file=str(tmp_path / "name"), seconds=60))
    until(lambda: running.poll() is not None and running.last_progress.stage == "Segmenting")
    place = Path("/dev/shm") / ("sem." + (tmp_path / "name").read_text(encoding="utf-8").lstrip("/"))
    assert place.exists()
    {"cancelled": running.cancel, "killed": psutil.Process(a_worker.pid).kill, "closed": a_worker.close}[end]()
    with pytest.raises(MedAIError):
        running.wait()
    until(lambda: not place.exists())
