"""A job goes on with less when memory runs out, and says so."""

from __future__ import annotations

import json
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

from medai.engine.devices import Device
from medai.engine.ladder import Ladder
from medai.engine.loaded import LoadedModels
from medai.errors import OutOfMemoryError
from medai.tasks.segment import SegmentParameters
from medai.volume import Volume
from small_bundles import OBLIQUE

# A network whose eight windows at once take some 700 MB, and one at a time a ninth of that.
_JOB = """
import json, resource, sys
from pathlib import Path
import numpy as np
from medai.engine.loaded import LoadedModels
from medai.jobs.job import Job
from medai.progress import ignore
from medai.tasks import run
from medai.volume import Volume

root = Path(sys.argv[1])
rng = np.random.default_rng(0)
def job(edge):
    return Job("segment", root, (Volume(rng.random((edge,) * 3, np.float32), np.eye(4), "scan"),), {"device": "cpu"})
loaded = LoadedModels()
run(job(8), ignore, loaded)  # everything is imported and loaded before memory gets short
page = resource.getpagesize()
used = int(Path("/proc/self/statm").read_text().split()[0]) * page
resource.setrlimit(resource.RLIMIT_AS, (used + 350 * 2**20, resource.RLIM_INFINITY))
result = run(job(64), ignore, loaded)
print(json.dumps([list(result.provenance.notes), list(result.labelmap.array.shape)]))
"""


@pytest.fixture
def a_scan():
    array = np.random.default_rng(3).integers(0, 256, (11, 14, 12)).astype(np.uint8)
    return Volume(array, OBLIQUE, "scan", "MR")


@pytest.fixture
def a_gpu_ladder():
    """A ladder that begins on a GPU, whose models all are on the CPU in truth; with what it tells."""
    told: list[str] = []

    class Pretending(LoadedModels):
        asked = ()

        def get(self, bundle_root, device, stem="inference"):
            self.asked = (*self.asked, device)
            return super().get(bundle_root, "cpu", stem)

    def make(root, **choices):
        loaded = Pretending()
        ladder = Ladder(root, Device("cuda:0", "GPU"), loaded, SegmentParameters(**choices), told.append)
        return ladder, loaded, told

    return make


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux keeps to a limit of address space")
def test_a_real_limit_of_memory_is_kept_by_taking_one_window_at_a_time(a_bundle):
    network = {
        "_target_": "UNet",
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 3,
        "channels": [48, 48],
        "strides": [1],
        "norm": "instance",
    }
    inferer = {"_target_": "SlidingWindowInferer", "roi_size": [32, 32, 32], "sw_batch_size": 27, "overlap": 0.5}
    root = a_bundle(network=network, inferer=inferer, scale_and_offset=None)
    source = Path(__file__).parents[3] / "SlicerMedAI"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _JOB, str(root)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1", "PATH": ""},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    notes, shape = json.loads(done.stdout.splitlines()[-1])
    assert shape == [64, 64, 64]
    assert any("Memory ran out; the image was processed one window at a time" in note for note in notes)


def test_a_full_gpu_gives_way_to_the_cpu_and_every_step_is_told(a_bundle, a_scan, a_gpu_ladder):
    ladder, loaded, told = a_gpu_ladder(a_bundle())

    def full(_module, _inputs):
        if loaded.asked[-1] == "cuda:0":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    loaded.get(a_bundle(name="other"), "cpu")
    network = ladder.pipeline.network
    network.register_forward_pre_hook(full)
    found = ladder.predict((a_scan,), ((),), None, lambda done, total: None)
    np.testing.assert_array_equal(found.array, (a_scan.array > 100).astype(np.uint8) + (a_scan.array > 200))
    steps = [note for note in told if note.startswith("Memory ran out")]
    assert "one window at a time" in steps[0]
    assert "CPU was used instead of the GPU" in steps[-1]
    assert ladder.device.name == "cpu"
    assert "too little memory" in ladder.device.reason


def test_a_job_that_has_stepped_down_stays_down(a_bundle, a_scan, a_gpu_ladder):
    ladder, _, told = a_gpu_ladder(a_bundle())
    failing = [True]

    def full_once(_module, _inputs):
        if failing.pop() if failing else False:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    ladder.pipeline.network.register_forward_pre_hook(full_once)
    for _ in range(2):
        ladder.predict((a_scan,), ((),), None, lambda done, total: None)
    assert len([note for note in told if note.startswith("Memory ran out")]) == 1


def test_a_network_that_refuses_smaller_windows_is_not_the_reason_given(a_bundle, a_gpu_ladder):
    inferer = {"_target_": "SlidingWindowInferer", "roi_size": [48, 48, 48], "sw_batch_size": 1}
    ladder, _, _ = a_gpu_ladder(a_bundle(inferer=inferer))

    def full_or_unfit(_module, inputs):
        if inputs[0].shape[-1] < 48:
            raise ValueError("this network is for windows of 48")
        raise torch.OutOfMemoryError("CUDA out of memory.")

    ladder.pipeline.network.register_forward_pre_hook(full_or_unfit)
    scan = Volume(np.random.default_rng(0).random((50, 50, 50), np.float32), np.eye(4), "scan")
    with pytest.raises(OutOfMemoryError):
        ladder.predict((scan,), ((),), None, lambda done, total: None)


def test_other_models_and_images_are_forgotten_when_memory_is_short(a_bundle, a_scan, a_gpu_ladder):
    ladder, loaded, _ = a_gpu_ladder(a_bundle())
    loaded.get(a_bundle(name="other"), "cpu")
    failing = [True]

    def full_once(_module, _inputs):
        if failing.pop() if failing else False:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    ladder.pipeline.network.register_forward_pre_hook(full_once)
    assert len(loaded) == 2
    ladder.predict((a_scan,), ((),), None, lambda done, total: None)
    assert len(loaded) == 1


def test_what_was_too_much_is_given_back_before_the_next_try(a_bundle, a_scan, a_gpu_ladder):
    ladder, _, _ = a_gpu_ladder(a_bundle())
    held = []

    def full_once(_module, inputs):
        assert all(past() is None for past in held), "the failed window is still there"
        if not held:
            too_much = torch.zeros(1000)
            held.append(weakref.ref(too_much))
            raise torch.OutOfMemoryError("CUDA out of memory.")

    ladder.pipeline.network.register_forward_pre_hook(full_once)
    ladder.predict((a_scan,), ((),), None, lambda done, total: None)
    assert len(held) == 1
