"""A network that is faster with several windows at once gets them, unless somebody wants it otherwise."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest
import torch

from medai.engine.backends import Ready
from medai.engine.devices import Device
from medai.engine.ladder import Ladder
from medai.engine.loaded import LoadedModels
from medai.tasks.segment import SegmentParameters
from medai.volume import Volume

WINDOWS = {"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 16], "sw_batch_size": 1, "overlap": 0.25}
WINDOW = (1, 16, 16, 16)


class InPairs(torch.nn.Module):
    """Computes what the network does, and says that it is faster with two; notes down what it gets."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.passes = []
        self.full = False

    def at_once(self, window):
        return 2 if window == WINDOW else 1

    def forward(self, x):
        self.passes.append(len(x))
        if self.full and len(x) > 1:
            raise RuntimeError("DefaultCPUAllocator: not enough memory")
        return self.network(x)


class Backends:
    """Knows one network only."""

    def __init__(self):
        self.ready = None

    def network(self, root, digest, network, device, **options):
        self.ready = self.ready or Ready(InPairs(network), "openvino", "twice as fast")
        return self.ready


@pytest.fixture
def a_scan():
    array = np.random.default_rng(5).integers(0, 256, (33, 20, 16)).astype(np.uint8)
    return Volume(array, np.eye(4), "scan", "MR")


@pytest.fixture
def a_ladder(a_bundle):
    """A ladder for a bundle of that number of windows at once, and what it tells."""

    names = map(str, count())

    def make(windows=1, *, backends=None, **choices):
        root = a_bundle(name=next(names), inferer=WINDOWS | {"sw_batch_size": windows})
        told = []
        loaded = LoadedModels(backends=backends or False)
        return Ladder(root, Device("cpu", "CPU"), loaded, SegmentParameters(**choices), told.append), told

    return make


def _predicted(ladder, scan):
    progress = []
    found = ladder.predict((scan,), ((),), None, lambda done, total: progress.append((done, total)))
    return found.array, progress


@pytest.mark.parametrize(("windows", "most"), [(1, 2), (4, 4)])
def test_labels_and_progress_are_those_of_one_window_at_a_time(windows, most, a_scan, a_ladder):
    expected, before = _predicted(a_ladder(windows, sw_batch_size=1)[0], a_scan)
    backends = Backends()
    ladder, _ = a_ladder(windows, backends=backends)
    found, progress = _predicted(ladder, a_scan)
    np.testing.assert_array_equal(found, expected)
    assert max(backends.ready.network.passes) == most
    assert progress[-1] == before[-1]
    assert [done for done, _ in progress] == sorted(done for done, _ in progress)


def test_the_whole_output_of_a_model_is_computed_so_too(a_scan, a_ladder):
    backends = Backends()
    ladder, _ = a_ladder(backends=backends)
    batch = ladder.preprocessed((a_scan,))
    found = ladder.infer(batch, lambda done, total: None)["pred"]
    assert max(backends.ready.network.passes) == 2
    alone = a_ladder()[0].infer(batch, lambda done, total: None)["pred"]
    assert torch.equal(found.as_tensor(), alone.as_tensor())


def test_a_number_that_a_person_chose_is_kept(a_scan, a_ladder):
    backends = Backends()
    _predicted(a_ladder(backends=backends, sw_batch_size=1)[0], a_scan)
    assert set(backends.ready.network.passes) == {1}


def test_the_models_own_network_gets_as_many_as_the_model_says(a_scan, a_ladder):
    ladder, _ = a_ladder()
    passes = []
    ladder.pipeline.network.register_forward_pre_hook(lambda _, given: passes.append(len(given[0])))
    _predicted(ladder, a_scan)
    assert set(passes) == {1}


def test_one_window_at_a_time_is_the_first_step_when_memory_runs_out(a_scan, a_ladder):
    expected, _ = _predicted(a_ladder(sw_batch_size=1)[0], a_scan)
    backends = Backends()
    ladder, told = a_ladder(backends=backends)
    ladder._network(ladder.preprocessed((a_scan,)), lambda: None).full = True
    told.clear()
    found, _ = _predicted(ladder, a_scan)
    np.testing.assert_array_equal(found, expected)
    assert [note for note in told if "Memory" in note] == [
        "Memory ran out; the image was processed one window at a time. The image was begun again."
    ]
    assert max(backends.ready.network.passes[1:]) == 1
