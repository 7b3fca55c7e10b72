"""The background process may do whatever it likes: the model runs in PyTorch."""

from __future__ import annotations

import dataclasses
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import torch

from medai.bundles.pipeline import Pipeline
from medai.engine.backends import Backends, Ready, converter, kinds
from medai.engine.backends.cache import Cache
from medai.engine.backends.choice import Choice, Measured
from medai.engine.backends.conversion import Conversions
from medai.engine.backends.task import LEFT_FOR_LATER, Task
from medai.engine.loaded import LoadedModels

CHILD_SIDE = Path(__file__).with_name("child_side")


@dataclasses.dataclass
class Background:
    """A room whose converter misbehaves, and who has been started."""

    backends: Backends
    conversions: Conversions
    note: Path

    def started(self) -> list[int]:
        return [int(line) for line in self.note.read_text().split()] if self.note.exists() else []


@pytest.fixture
def a_background(a_cache: Cache, tmp_path: Path) -> Iterator[Callable[..., Background]]:
    made = []

    def make(behaviour: str, *, timeout_s: float = 120.0) -> Background:
        note = tmp_path / f"started-{behaviour}"
        program = [str(CHILD_SIDE / "misbehaving.py"), behaviour, str(note)]
        conversions = Conversions(a_cache, timeout_s=timeout_s, program=program)
        made.append(Background(Backends(a_cache, conversions), conversions, note))
        return made[-1]

    yield make
    for one in made:
        one.backends.close()


@pytest.fixture
def ask(a_task: Task) -> Callable[[Backends], Ready]:
    """Ask for the network of `a_task`."""
    network = torch.nn.Conv3d(1, 3, 1).eval()

    def ask(backends: Backends) -> Ready:
        window = {"roi_size": a_task.roi_size, "channels": a_task.channels}
        ready = backends.network(Path(a_task.root), a_task.digest, network, "cpu", **window)
        assert ready.network(torch.zeros(1, 1, 8, 8, 8)).shape == (1, 3, 8, 8, 8)
        return ready

    return ask


@pytest.mark.parametrize("behaviour", ["crash", "segfault"])
def test_a_conversion_that_dies_leaves_torch_and_is_not_tried_again(
    behaviour: str,
    a_background: Callable[..., Background],
    ask: Callable[[Backends], Ready],
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = a_background(behaviour)
    with caplog.at_level(logging.INFO):
        assert ask(first.backends).name == "torch"
        assert first.backends.wait(60)
    assert "was not converted" in caplog.text
    second = a_background(behaviour)
    ready = ask(second.backends)
    assert (ready.name, ready.reason) == (
        "torch",
        "PyTorch: this model could not be brought into a form that is faster and gives the same labels",
    )
    assert second.backends.wait(60)
    assert len(first.started()) == 1


def test_a_conversion_that_takes_too_long_is_ended_and_not_tried_again(
    a_background: Callable[..., Background], ask: Callable[[Backends], Ready]
) -> None:
    background = a_background("hang", timeout_s=1.0)
    assert "meanwhile" in ask(background.backends).reason
    assert background.backends.wait(60)
    assert all(not psutil.pid_exists(pid) for pid in background.started())
    assert "could not be brought" in ask(background.backends).reason


def test_a_conversion_left_for_later_is_tried_again_by_every_later_job(
    a_background: Callable[..., Background], ask: Callable[[Backends], Ready], a_task: Task, a_cache: Cache
) -> None:
    background = a_background("later")
    for count in range(1, 8):
        assert "meanwhile" in ask(background.backends).reason
        assert background.backends.wait(60)
        assert len(background.started()) == count
    assert a_cache.attempts(a_task.key()) == 0


def test_a_program_that_cannot_be_loaded_says_nothing_about_the_model_and_is_not_begun_for_ever(
    a_background: Callable[..., Background],
    ask: Callable[[Backends], Ready],
    a_task: Task,
    a_cache: Cache,
    caplog: pytest.LogCaptureFixture,
) -> None:
    background = a_background("raise")
    with caplog.at_level(logging.INFO):
        for _ in range(7):
            ask(background.backends)
            assert background.backends.wait(60)
    assert "not_installed_anywhere" in caplog.text
    assert a_cache.read(a_task.key()) is None
    assert len(background.started()) == 5


def test_only_the_conversion_that_is_named_is_waited_for(
    a_background: Callable[..., Background], ask: Callable[[Backends], Ready], a_task: Task
) -> None:
    background = a_background("hang")
    ready = ask(background.backends)
    assert ready.awaits == a_task.key()
    assert not background.backends.wait(0.05, ready.awaits)
    assert background.backends.wait(0, "0" * 64)
    assert not background.backends.wait(0)


def test_a_refusal_is_for_a_week(
    a_background: Callable[..., Background], ask: Callable[[Backends], Ready], a_task: Task, a_cache: Cache
) -> None:
    day = 24 * 3600
    for days, count in ((6, 0), (8, 1)):
        refusal = Choice(refused={"torch": "it failed"}, decided=time.time() - days * day)
        a_cache.write(a_task.key(), refusal.to_json())
        background = a_background("later")
        assert ("meanwhile" in ask(background.backends).reason) == bool(count)
        assert background.backends.wait(60)
        assert len(background.started()) == count
    assert Choice("torch", (Measured("openvino", 0.5, 1.0),), decided=0.0).holds


@pytest.mark.parametrize("missing", [ImportError("no library"), OSError("a DLL is missing")])
def test_what_cannot_be_loaded_in_this_environment_is_kept_for_others(
    missing: Exception, ask: Callable[[Backends], Ready], a_task: Task, a_cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object) -> None:
        raise missing

    a_cache.write(a_task.key(), Choice("openvino", (Measured("openvino", 3.0, 1.0),)).to_json())
    monkeypatch.setattr(kinds.CONVERTERS["openvino"], "load", load)
    with Backends(a_cache) as backends:
        assert ask(backends).name == "torch"
    assert a_cache.read(a_task.key()) is not None


@pytest.mark.parametrize("missing", [ImportError("no library"), OSError("a DLL is missing")])
def test_an_environment_in_which_nothing_can_be_converted_leaves_it_for_later(
    missing: Exception, a_task: Task, a_cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def convert(*_: object, **__: object) -> None:
        raise missing

    for module in kinds.CONVERTERS.values():
        monkeypatch.setattr(module, "version", lambda: "1")
        monkeypatch.setattr(module, "convert", convert)
    assert converter.convert(a_task, a_task.key(), a_cache) == LEFT_FOR_LATER
    assert a_cache.read(a_task.key()) is None


def test_without_room_for_the_outputs_nothing_is_tried(
    a_task: Task, a_cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medai.engine.streaming.available.available_bytes", lambda: 2 * 2**30 + 2**20)
    assert converter.convert(a_task, a_task.key(), a_cache) == LEFT_FOR_LATER


def test_another_program_that_makes_the_backend_asked_for_is_waited_for(a_task: Task, a_cache: Cache) -> None:
    task = dataclasses.replace(a_task, requested="openvino")
    conversions = Conversions(a_cache)
    try:
        with a_cache.claimed(task.key()) as mine:
            assert mine
            conversions.start(task)
            assert not conversions.wait(8, task.key())
            a_cache.write(task.key(), Choice("openvino", (Measured("openvino", 3.0, 1.0),)).to_json())
        assert conversions.wait(120, task.key())
    finally:
        conversions.close()
    entry = a_cache.read(task.key())
    assert entry is not None
    assert Choice.from_json(entry.content).measured == (Measured("openvino", 3.0, 1.0),)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell who ended a process")
def test_a_conversion_ended_from_outside_is_tried_again_but_not_for_ever(
    a_background: Callable[..., Background], ask: Callable[[Backends], Ready]
) -> None:
    for _ in range(7):
        background = a_background("hang")
        earlier = len(background.started())
        ask(background.backends)
        while not background.backends.wait(0.05):
            for pid in background.started()[earlier:]:
                if psutil.pid_exists(pid):
                    psutil.Process(pid).kill()
    assert len(background.started()) == 5


def test_closing_ends_the_conversion_at_once_and_does_not_count_against_the_model(
    a_background: Callable[..., Background], ask: Callable[[Backends], Ready], a_task: Task, a_cache: Cache
) -> None:
    for _ in range(7):
        background = a_background("hang")
        earlier = len(background.started())
        ask(background.backends)
        while len(background.started()) == earlier:
            background.backends.wait(0.02)
        background.backends.close()
        assert not psutil.pid_exists(background.started()[-1])
    assert len(background.started()) == 7
    assert a_cache.attempts(a_task.key()) == 0


def test_models_that_are_closed_end_their_conversion_and_it_counts_for_nothing(
    a_background: Callable[..., Background], ask: Callable[[Backends], Ready], a_task: Task, a_cache: Cache
) -> None:
    background = a_background("hang")
    models = LoadedModels(0, backends=background.backends)
    assert models.converting is None
    ask(background.backends)
    while not background.started():
        background.backends.wait(0.02)
    pid = models.converting
    assert pid == background.started()[0]
    models.close()
    assert not psutil.pid_exists(pid)
    assert a_cache.attempts(a_task.key()) == 0


def test_asking_never_waits_for_a_conversion(
    a_background: Callable[..., Background], ask: Callable[[Backends], Ready]
) -> None:
    background = a_background("hang")
    for _ in range(3):
        assert ask(background.backends).name == "torch"
    assert not background.backends.wait(0.0)
    while not background.started():
        background.backends.wait(0.02)
    assert len(background.started()) == 1


def test_the_standard_input_of_the_converter_ends_with_its_parent_only(
    a_background: Callable[..., Background], ask: Callable[[Backends], Ready]
) -> None:
    background = a_background("end with parent")
    ask(background.backends)
    assert not background.backends.wait(0.5)


def test_the_converter_ends_when_its_parent_is_killed_and_it_counts_for_nothing(a_task: Task, a_cache: Cache) -> None:
    parent = subprocess.Popen(
        [sys.executable, str(CHILD_SIDE / "dying_parent.py"), a_task.to_text()], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    assert psutil.wait_procs([child], timeout=120) == ([child], [])
    assert a_cache.attempts(a_task.key()) == 0


def test_two_programs_at_once_convert_a_model_once_and_both_can_use_it(
    a_task: Task, a_cache: Cache, an_image: Callable[..., torch.Tensor]
) -> None:
    both = [Conversions(a_cache), Conversions(a_cache)]
    threads = [threading.Thread(target=conversions.start, args=(a_task,)) for conversions in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(conversions.wait(240) for conversions in both)
    entry = a_cache.read(a_task.key())
    assert entry is not None
    choice = Choice.from_json(entry.content)
    installed = {name for name in kinds.CONVERTERS if kinds.CONVERTERS[name].version()}
    assert {one.backend for one in choice.measured} & installed or not installed
    assert all(one.agreement >= 0.9999 for one in choice.measured)
    network = Pipeline(Path(a_task.root), "cpu").network
    x = an_image(2, 1, 8, 8, 8)
    for conversions in both:
        ready = Backends(a_cache, conversions).network(
            Path(a_task.root), a_task.digest, network, "cpu", roi_size=a_task.roi_size, channels=a_task.channels
        )
        assert ready.name == choice.backend
        with torch.inference_mode():
            torch.testing.assert_close(ready.network(x), network(x))


def test_a_model_whose_files_have_changed_meanwhile_is_left_for_later(a_task: Task, a_cache: Cache) -> None:
    task = dataclasses.replace(a_task, digest="0" * 64)
    assert converter.convert(task, task.key(), a_cache) == LEFT_FOR_LATER
    assert a_cache.read(task.key()) is None


def test_what_was_measured_by_one_program_is_used_by_the_next(
    a_background: Callable[..., Background], ask: Callable[[Backends], Ready], a_task: Task, a_cache: Cache
) -> None:
    choice = Choice("torch:channels_last", (Measured("torch:channels_last", 1.53, 1.0),))
    a_cache.write(a_task.key(), choice.to_json())
    background = a_background("hang")
    ready = ask(background.backends)
    assert ready.name == "torch:channels_last"
    assert ready.reason == (
        "PyTorch (channels last): 1.5 times faster than plain PyTorch on this computer, "
        "agrees with it on 100 % of test values"
    )
    assert background.backends.wait(0)
    assert background.started() == []
