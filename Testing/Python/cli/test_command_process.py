"""The command as a shell sees it: exit codes, signals, and what it imports."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

SOURCE = Path(__file__).resolve().parents[3] / "SlicerMedAI"


def lines_until(process: subprocess.Popen[str], words: str, limit_s: float = 120) -> list[str]:
    """Lines of standard error up to the one that holds `words`."""
    timer = threading.Timer(limit_s, process.kill)
    timer.start()
    seen = []
    try:
        for line in process.stderr:
            seen.append(line)
            if words in line:
                return seen
    finally:
        timer.cancel()
    raise AssertionError(f"'{words}' was never said: {''.join(seen)}")


def test_a_command_in_its_own_process_writes_and_ends_with_zero(start_medai, an_image, tmp_path):
    process = start_medai("segment", an_image(), "-m", "tiny", "-o", tmp_path / "out.seg.nrrd")
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, err
    assert "mL" in out
    assert (tmp_path / "out.seg.nrrd").exists()
    assert "Traceback" not in err


def test_letters_that_a_log_has_not_are_left_out(start_medai, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    _, err = start_medai("segment", tmp_path / "Übung.nii", "-m", "tiny", "-o", tmp_path / "out/").communicate(
        timeout=180
    )
    assert "?bung.nii' was not found" in err
    assert "unexpected" not in err


def test_a_missing_input_ends_with_three(start_medai, tmp_path):
    process = start_medai("segment", tmp_path / "no.nii", "-m", "tiny", "-o", tmp_path / "out.seg.nrrd")
    _, err = process.communicate(timeout=180)
    assert process.returncode == 3
    assert "was not found" in err


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("sent", "to"),
    [
        (signal.SIGINT, "the command"),
        (signal.SIGINT, "its whole group, as a terminal does"),
        (signal.SIGTERM, "the command"),
    ],
)
def test_who_asks_it_to_end_ends_the_job_and_its_worker_at_once(start_medai, an_image, tmp_path, sent, to):
    # About 15000 windows: it would take minutes.
    process = start_medai(
        "segment", an_image(size=60), "-m", "tiny", "-o", tmp_path / "out.seg.nrrd", "--overlap", "0.9"
    )
    lines_until(process, "Segmenting")
    time.sleep(0.5)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    if to == "the command":
        process.send_signal(sent)
    else:
        os.killpg(process.pid, sent)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Cancelled" in err
    assert "Traceback" not in err
    psutil.wait_procs(children, timeout=30)
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert sorted(file.name for file in tmp_path.glob("*out*")) == []


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["models", "list"], ["models", "show", "tiny"]])
def test_light_commands_do_not_import_torch(surroundings, arguments):
    program = (
        "import sys\nfrom medai.cli import app\n"
        f"try:\n    app({arguments!r})\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'torch', 'monai', 'SimpleITK', 'slicer', 'vtk'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    environment = {**os.environ, **surroundings, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, encoding="utf-8", env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
