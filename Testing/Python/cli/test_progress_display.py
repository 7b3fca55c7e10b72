"""Progress as a person at a terminal, and a log file, see it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from medai.cli.progress import Listener, time_left
from medai.progress import Progress


@pytest.fixture
def a_listener():
    def make(*, terminal: bool, quiet: bool = False) -> tuple[Listener, io.StringIO]:
        text = io.StringIO()
        console = Console(file=text, force_terminal=terminal, width=120, color_system=None)
        return Listener(console, quiet=quiet), text

    return make


def test_a_terminal_gets_a_bar_with_stage_and_time_left(a_listener):
    listener, text = a_listener(terminal=True)
    with listener:
        listener.begin("brain [1]")
        listener(Progress("Segmenting", 3, 10, 2.0, 42.0))
    assert "brain [1]: Segmenting" in text.getvalue()
    assert "about 42 s left" in text.getvalue()


def test_a_log_gets_one_line_per_stage_and_not_one_per_window(a_listener):
    listener, text = a_listener(terminal=False)
    with listener:
        listener.begin("brain")
        for window in range(200):
            listener(Progress("Segmenting", window, 200, window / 100, 5.0))
    lines = text.getvalue().splitlines()
    assert lines == ["brain: Reading", "brain: Segmenting, 0%, about 5 s left"]


def test_a_note_is_said_once(a_listener):
    listener, text = a_listener(terminal=False)
    with listener:
        listener.begin("brain")
        for _ in range(3):
            listener(Progress("Segmenting", note="Running on the CPU"))
    assert text.getvalue().count("Running on the CPU") == 1


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("results", "read"), [(_Terminal(), True), (io.StringIO(), False)])
def test_a_terminal_need_not_be_told_again_what_it_has_shown(a_listener, monkeypatch, results, read):
    monkeypatch.setattr("sys.stdout", results)
    listener, _ = a_listener(terminal=True)
    with listener:
        listener.begin("brain")
        listener(Progress("Segmenting", note="Running on the CPU"))
        assert listener.unread(["Running on the CPU", "Small"]) == ([] if read else ["Running on the CPU"]) + ["Small"]
        listener.begin("another")
        assert listener.unread(["Running on the CPU"]) == ["Running on the CPU"]


@pytest.mark.parametrize(("results", "read"), [("all.log", True), ("results.txt", False)])
def test_a_log_of_progress_and_results_has_every_note_once(monkeypatch, tmp_path, results, read):
    with (tmp_path / "all.log").open("a") as log, (tmp_path / results).open("a") as out:
        monkeypatch.setattr("sys.stdout", out)
        with Listener(Console(file=log), quiet=False) as listener:
            listener.begin("brain")
            listener(Progress("Segmenting", note="Running on the CPU"))
            assert listener.unread(["Running on the CPU"]) == ([] if read else ["Running on the CPU"])


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet_says_nothing_but_what_needs_caution(a_listener, terminal):
    listener, text = a_listener(terminal=terminal, quiet=True)
    with listener:
        listener.begin("brain")
        listener(Progress("Segmenting", 3, 10, 2.0, 42.0))
        listener(Progress("Segmenting", 3, 10, 2.0, 42.0, "Running on the CPU", aside=True))
        assert text.getvalue() == ""
        for _ in range(2):
            listener(Progress("Segmenting", 3, 10, 2.0, 42.0, "Far from what it knows [1]"))
    assert text.getvalue() == "brain: Far from what it knows [1]\n"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0.2, "nearly done"),
        (30, "about 30 s left"),
        (600, "about 10 min left"),
        (9000, "about 2.5 h left"),
    ],
)
def test_time_left_is_told_in_a_unit_that_fits(seconds, words):
    assert time_left(seconds) == words
