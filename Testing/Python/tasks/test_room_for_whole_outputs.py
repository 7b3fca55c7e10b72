"""What needs the network's whole output in memory is refused by its first window, not after its last."""

from __future__ import annotations

import numpy as np
import pytest

import small_bundles
from medai.engine.devices import Device
from medai.engine.ladder import Ladder
from medai.engine.loaded import LoadedModels
from medai.engine.streaming import room
from medai.errors import OutOfMemoryError
from medai.tasks.segment import SegmentParameters
from medai.volume import Volume

SCALE = {"_target_": "ScaleIntensityd", "keys": "pred"}
WHOLE = [SCALE, small_bundles.ARGMAX, small_bundles.SAVE]
MIB = 2**20


@pytest.fixture
def a_scan():
    return Volume(255 * np.random.default_rng(0).random((40, 40, 40), np.float32), np.eye(4), "scan")


@pytest.fixture
def a_ladder():
    """Of a bundle; with what it tells, and how many windows its network has computed."""

    def make(root, device="cpu"):
        told, passes = [], []

        class Pretending(LoadedModels):
            def get(self, bundle_root, device, stem="inference"):
                return super().get(bundle_root, "cpu", stem)

        ladder = Ladder(root, Device(device, device), Pretending(), SegmentParameters(), told.append)
        ladder.pipeline.network.register_forward_hook(lambda *_: passes.append(1))
        return ladder, told, passes

    return make


def _predict(ladder, scan):
    return ladder.predict((scan,), ((),), None, lambda done, total: None)


@pytest.fixture
def free(monkeypatch):
    """How much memory there seems to be."""
    places = {"cpu": 10**12}
    monkeypatch.setattr(room, "available_bytes", lambda device="cpu": places[str(device).split(":")[0]])
    return places


def test_an_output_that_fits_is_computed(a_bundle, a_scan, a_ladder, free):
    ladder, told, _ = a_ladder(a_bundle(post=WHOLE))
    assert _predict(ladder, a_scan).array.shape == a_scan.shape
    assert told == []


def test_an_output_that_does_not_fit_is_refused_with_what_it_takes_and_what_is_free(a_bundle, a_scan, a_ladder, free):
    free["cpu"] = MIB // 4
    ladder, told, passes = a_ladder(a_bundle(post=WHOLE))
    with pytest.raises(OutOfMemoryError, match=r"3 values for every voxel, at least .* GB, but") as found:
        _predict(ladder, a_scan)
    assert "GB are free" in found.value.why
    assert "region" in found.value.remedy
    assert len(passes) == 1
    assert told == []  # nothing else would have helped


def test_streamed_labels_need_no_room_for_the_output(a_bundle, a_scan, a_ladder, free):
    free["cpu"] = 0
    ladder, _, _ = a_ladder(a_bundle())
    assert _predict(ladder, a_scan).array.any()


def test_the_next_image_is_looked_at_anew(a_bundle, a_scan, a_ladder, free):
    ladder, _, passes = a_ladder(a_bundle(post=WHOLE))
    _predict(ladder, a_scan)
    free["cpu"], before = 0, len(passes)
    with pytest.raises(OutOfMemoryError):
        _predict(ladder, a_scan)
    assert len(passes) == before + 1


def test_what_does_not_fit_on_a_gpu_is_put_together_in_the_computers_memory_at_once(
    a_bundle, a_scan, a_ladder, free, monkeypatch
):
    free["cuda"] = 0
    ladder, told, _ = a_ladder(a_bundle(post=WHOLE), "cuda:0")
    ladder.pipeline.inferer.sw_batch_size = 4  # a smaller step that would not help
    told_where = iter(["cuda:0", "cpu"])
    monkeypatch.setattr("medai.engine.streaming.predict.merging_device", lambda *_: next(told_where))
    _predict(ladder, a_scan)
    assert [note for note in told if "Memory" in note] == [
        "Memory ran out; results were put together in the computer's memory. The image was begun again."
    ]


def test_the_last_failure_tells_what_was_tried(a_bundle, a_scan, a_ladder):
    ladder, _, _ = a_ladder(a_bundle(), "cuda:0")

    def full(*_):
        raise MemoryError

    ladder.pipeline.network.register_forward_pre_hook(full)
    with pytest.raises(OutOfMemoryError) as found:
        _predict(ladder, a_scan)
    assert "Tried in vain: " in found.value.why
    assert "smaller parts" in found.value.why
    assert "the CPU was used instead of the GPU" in found.value.why
