"""One network for a whole job, and the search for a faster one only where it pays."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from medai.engine import fastest
from medai.engine.backends import Ready
from medai.engine.backends.converted import ConvertedNetwork
from medai.engine.fastest import Fastest


class Backends:
    """Knows what it is told; remembers what it is asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.waits = 0

    def network(self, root, digest, network, device, *, roi_size, channels, requested, begin):
        self.asked.append((roi_size, channels, requested, begin))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def wait(self, timeout_s, awaits):
        assert awaits == BUSY.awaits
        self.waits += 1
        return self.waits > 2


PLAIN = Ready(torch.nn.Identity(), "torch", "PyTorch: not known yet")
BUSY = Ready(torch.nn.Identity(), "torch", "PyTorch: being found out", "a key")
QUICK = Ready(torch.nn.Identity(), "openvino", "OpenVINO: 3 times faster")
IMAGE = torch.zeros(1, 2, 8, 8, 8)


@pytest.fixture
def a_pipeline(tmp_path, monkeypatch):
    monkeypatch.setattr("medai.bundles.integrity.digest", lambda root: "digest")
    inferer = SimpleNamespace(roi_size=(8, 8, 8))
    return SimpleNamespace(root=tmp_path, network=torch.nn.Identity(), device="cpu", inferer=inferer)


def _nothing():
    """Waiting is not watched here."""


def test_without_backends_the_models_own_network_is_used_and_nothing_is_said(a_pipeline):
    chosen = Fastest(None, a_pipeline, "auto", {})
    assert chosen.network(IMAGE, _nothing) is a_pipeline.network
    assert chosen.reason == ""


def test_pytorch_by_name_asks_nobody(a_pipeline):
    backends = Backends(QUICK)
    chosen = Fastest(backends, a_pipeline, "torch", {})
    assert chosen.network(IMAGE, _nothing) is a_pipeline.network
    assert backends.asked == []
    assert chosen.reason == "PyTorch: chosen by you"


def test_a_known_faster_network_is_used_and_told_and_loaded_once(a_pipeline):
    backends, known = Backends(QUICK), {}
    for _ in range(2):
        chosen = Fastest(backends, a_pipeline, "auto", known)
        assert chosen.network(IMAGE, _nothing) is QUICK.network
        assert chosen.reason == QUICK.reason
    assert backends.asked == [((8, 8, 8), 2, "auto", False)]


def test_a_faster_form_that_fails_is_named_no_more(a_pipeline):
    def fails(windows):
        raise RuntimeError("it cannot be compiled")

    network = ConvertedNetwork(a_pipeline.network, fails)
    chosen = Fastest(Backends(Ready(network, "openvino", "OpenVINO: 3 times faster")), a_pipeline, "auto", {})
    assert torch.equal(chosen.network(IMAGE, _nothing)(IMAGE), IMAGE)
    assert chosen.reason == "PyTorch: the faster form of this model failed, and PyTorch went on"


def test_the_network_stays_the_same_within_a_job(a_pipeline):
    chosen = Fastest(Backends(PLAIN, QUICK), a_pipeline, "auto", {})
    assert chosen.network(IMAGE, _nothing) is PLAIN.network
    assert chosen.network(IMAGE, _nothing) is PLAIN.network


def test_a_short_job_begins_no_conversion(a_pipeline):
    backends = Backends(PLAIN)
    chosen = Fastest(backends, a_pipeline, "auto", {})
    chosen.network(IMAGE, _nothing)
    for _ in range(5):
        chosen.at_window()
    assert [begin for *_, begin in backends.asked] == [False]


def test_a_long_job_begins_one_conversion_for_the_next(a_pipeline, monkeypatch):
    backends, now = Backends(PLAIN), [0.0]
    monkeypatch.setattr(fastest.time, "monotonic", lambda: now[0])
    chosen = Fastest(backends, a_pipeline, "auto", {})
    chosen.network(IMAGE, _nothing)
    for second in range(5):
        now[0] = float(second)
        chosen.at_window()
    assert [begin for *_, begin in backends.asked] == [False, True]


def test_a_backend_asked_for_by_name_is_waited_for(a_pipeline):
    backends, waited = Backends(BUSY, QUICK), []
    chosen = Fastest(backends, a_pipeline, "openvino", {})
    assert chosen.network(IMAGE, lambda: waited.append(1)) is QUICK.network
    assert len(waited) == 2
    assert [begin for *_, begin in backends.asked] == [True, False]


def test_a_backend_asked_for_by_name_is_not_waited_for_when_nobody_makes_it(a_pipeline):
    backends = Backends(PLAIN)
    assert Fastest(backends, a_pipeline, "openvino", {}).network(IMAGE, _nothing) is PLAIN.network
    assert backends.waits == 0


def test_a_backend_asked_for_by_name_is_waited_for_ten_minutes_at_most(a_pipeline, monkeypatch):
    backends, now = Backends(BUSY), [0.0]
    backends.wait = lambda *_: False
    monkeypatch.setattr(fastest.time, "monotonic", lambda: now[0])

    def a_minute_passes():
        now[0] += 60.0

    chosen = Fastest(backends, a_pipeline, "openvino", {})
    assert chosen.network(IMAGE, a_minute_passes) is BUSY.network
    assert now[0] == 600.0
    assert chosen.reason == BUSY.reason


def test_waiting_for_a_backend_can_be_stopped(a_pipeline):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Fastest(Backends(BUSY, QUICK), a_pipeline, "openvino", {}).network(IMAGE, stop)


def test_a_model_of_whole_images_says_that_it_has_no_window(a_pipeline):
    a_pipeline.inferer = SimpleNamespace()
    backends = Backends(QUICK)
    Fastest(backends, a_pipeline, "auto", {}).network(IMAGE, _nothing)
    assert backends.asked[0][0] is None


def test_one_number_for_the_window_stands_for_all_axes(a_pipeline):
    a_pipeline.inferer.roi_size = 64
    backends = Backends(QUICK)
    Fastest(backends, a_pipeline, "auto", {}).network(IMAGE, _nothing)
    assert backends.asked[0][0] == (64, 64, 64)
