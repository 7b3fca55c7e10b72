"""What a streamed prediction takes is what was said before, and little."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from monai.inferers import SlidingWindowInferer

from medai.engine.streaming import available
from medai.engine.streaming.available import available_bytes
from medai.engine.streaming.axes import AxisMap
from medai.engine.streaming.estimate import tile_bytes, whole_bytes, window_bytes
from medai.engine.streaming.tiles import cut
from medai.engine.streaming.windows import windows_of

CLASSES = 40
EDGE = 64


def test_a_ct_with_105_classes_fits_into_six_gigabytes() -> None:
    """As planned from numbers alone; the benchmark runs it."""
    size, roi = (512, 512, 600), (96, 96, 96)
    windows = windows_of(SlidingWindowInferer(roi, overlap=0.5), torch.zeros(1).expand(1, 1, *size))
    axes = [AxisMap.identity(axis, size[axis]) for axis in (1, 2)]
    budget = int(3.5 * (1 << 30))
    rows, columns = cut(axes, windows, 105, 0, budget)
    assert window_bytes(105, roi) + tile_bytes(105, 96, (rows.width, columns.width), interpolated=False) <= budget
    assert rows.windows * columns.windows * 11 <= 1.5 * len(windows.starts)  # what it costs
    labels = 512 * 512 * 600 * (1 + 4 + 2)  # of one byte, as MONAI's float32, and once more in another order
    assert budget + labels < 6e9
    assert whole_bytes(105, size, size, interpolated=False, activated=False) > 60e9


def test_the_smallest_budget_cuts_to_windows() -> None:
    size, roi = (40, 40, 40), (16, 16, 16)
    windows = windows_of(SlidingWindowInferer(roi, overlap=0.5), torch.zeros(1, 1, *size))
    rows, columns = cut([AxisMap.identity(axis, 40) for axis in (1, 2)], windows, 10, 0, 1)
    assert max(rows.width, columns.width) <= 16
    covered = np.concatenate([np.arange(*part) for part in rows.parts])
    np.testing.assert_array_equal(np.sort(covered), np.arange(40))


def test_memory_available_is_the_least_of_all_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = available_bytes()
    assert free > 0
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("700000\n")
    (tmp_path / "memory.stat").write_text("anon 600000\ninactive_file 50000\n")
    monkeypatch.setattr(available, "_CGROUP", tmp_path)
    assert available_bytes() == 350000
    (tmp_path / "memory.max").write_text("max\n")
    assert available_bytes() > 350000


_LIMITED = """
import resource
import psutil
from medai.engine.streaming.available import available_bytes
in_use = psutil.Process().memory_info().vms
resource.setrlimit(resource.RLIMIT_AS, (in_use + (64 << 20), resource.RLIM_INFINITY))
print(available_bytes())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_limit_on_the_process_counts() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", _LIMITED], check=True, capture_output=True, text=True, env=environment)
    assert 0 < int(done.stdout.split()[-1]) <= 64 << 20


class _Highest:
    """Most memory of this process, beyond what it had before."""

    def __init__(self) -> None:
        self.peak = 0

    def __enter__(self) -> _Highest:
        self._process = psutil.Process()
        self._before = self._process.memory_info().rss
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def _look(self) -> None:
        while not self._over.wait(0.001):
            self.peak = max(self.peak, self._process.memory_info().rss - self._before)

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def test_peak_memory_is_a_part_of_monais(build: Callable[..., Any]) -> None:
    network = {"_target_": "torch.nn.Conv3d", "in_channels": 1, "out_channels": CLASSES, "kernel_size": 1}
    spacing = {"_target_": "Spacingd", "keys": "image", "pixdim": [1.3, 1.3, 1.3], "mode": "bilinear"}
    invert = {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "image"}
    argmax = {"_target_": "AsDiscreted", "keys": "pred", "argmax": True}
    case = build(
        [spacing],
        [invert | {"nearest_interp": False}, argmax],
        {"roi_size": [16, 16, 16], "overlap": 0.25},
        shape=(EDGE,) * 3,
        affine=np.eye(4),
        network=network,
        outputs=CLASSES,
    )
    case.streamed()  # what is loaded on the way is loaded
    with _Highest() as streamed:
        found = case.streamed()
    with _Highest() as whole:
        expected = case.by_monai()
    assert streamed.peak < whole.peak / 3
    assert streamed.peak < 4 * tile_bytes(CLASSES, 16, (50, 50), interpolated=True)
    assert (found.array != expected.array).mean() < 1e-4
