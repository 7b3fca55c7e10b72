"""`make bench`: each entry in its own process, and what fails stops nothing else."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import time

import psutil
import pytest

from benchmarks import __main__ as program
from benchmarks.rows import ENTRIES, Entry


def test_what_fails_is_told_and_the_next_is_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(program, "ENTRIES", {"nobody-knows-this": Entry("nowhere:nothing", 1), **ENTRIES})
    file = tmp_path / "new" / "found.jsonl"
    assert program.main(["--quick", "--only", "nobody-knows-this", "segments", "--output", str(file)]) == 1
    failed, done = (json.loads(line) for line in file.read_text(encoding="utf-8").splitlines())
    assert (failed["name"], failed["rows"]) == ("nobody-knows-this", [])
    assert "nobody-knows-this" in failed["error"]
    assert (done["name"], done["error"]) == ("segments", "")
    assert "100 segments of 48x48x20" in done["rows"][0]["what"]
    printed = capsys.readouterr().out
    assert "sizes of seconds" in printed
    assert "failed" in printed


def test_what_takes_too_long_is_ended(monkeypatch):
    class Impatient(program.psutil.Popen):
        def wait(self, timeout=None):
            if timeout is None:
                return super().wait()
            raise program.psutil.TimeoutExpired(timeout)

    monkeypatch.setattr(program.psutil, "Popen", Impatient)
    assert program.measured("segments", quick=True) == ([], "it took too long and was ended")


def test_the_time_it_takes_is_told_before_it_starts(tmp_path, monkeypatch, capsys):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "measured", stop)
    assert program.main(["--only", "segments", "memory", "--output", str(tmp_path / "found.jsonl")]) == 1
    printed = capsys.readouterr().out
    assert "about 4 minutes" in printed
    assert "Stopped" in printed


@pytest.mark.skipif(sys.platform == "win32", reason="nobody asks a program of Windows to end in this way")
def test_asked_to_end_it_ends_what_it_started_and_prints_the_table(tmp_path):
    command = [sys.executable, "-m", "benchmarks", "--only", "memory", "--output", str(tmp_path / "found.jsonl")]
    with subprocess.Popen(command, cwd=program.TESTING, stdout=subprocess.PIPE, text=True) as process:
        try:
            until = time.monotonic() + 60
            while not (started := psutil.Process(process.pid).children(recursive=True)) and time.monotonic() < until:
                time.sleep(0.05)
            process.terminate()
            printed, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert started
    assert not any(one.is_running() for one in started)
    assert process.returncode == 1
    assert "Stopped" in printed
    assert "Measured" in printed


@pytest.mark.parametrize("name", ENTRIES)
def test_every_entry_is_a_function_that_takes_what_it_is_given(name):
    entry = ENTRIES[name]
    inspect.signature(entry.function()).bind(**{**entry.given, **entry.small})
