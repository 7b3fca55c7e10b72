"""Streamed labels against MONAI's own path: memory, and time over the network's forward passes.

``python -m benchmarks.streaming_bench 512 512 600 spacing=1.5`` (in ``Testing``) streams one image of that size.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.timing import Row, paired_ratio
from medai.volume import Volume

CLASSES = 105
_GIB = 1 << 30
_ROI = (64, 64, 64)


def peak_memory(size: tuple[int, int, int] = (160, 160, 160)) -> list[Row]:
    """Memory beyond the input that 105 classes take, MONAI's way over ours, with and without resampling."""
    rows = []
    for spacing in (1.0, 1.5):
        whole, streamed = (_measured(way, size, spacing, budget_gib=0.3) for way in ("monai", "streamed"))
        ratio = whole["peak"] / streamed["peak"]
        same = whole["digest"] == streamed["digest"]
        resampled = f"resampled to {spacing:g} mm" if spacing != 1 else "on its own grid"
        what = (
            f"memory of MONAI's path over ours, {CLASSES} classes, {'x'.join(map(str, size))} {resampled} "
            f"({whole['peak'] / _GIB:.2f} GiB, {streamed['peak'] / _GIB:.2f} GiB; {whole['seconds']:.0f} s, "
            f"{streamed['seconds']:.0f} s; labels {'equal' if same else 'differ'})"
        )
        rows.append(Row(what, f"{ratio:.1f}", ">= 5", ratio >= 5))
    return rows


def over_forward_passes(
    classes: int = 14, size: tuple[int, int, int] = (144, 144, 144), roi: tuple[int, int, int] = (96, 96, 96)
) -> Row:
    """`predict` on a preprocessed image over the network's forward passes on the same windows."""
    import torch
    from monai.data.utils import dense_patch_slices

    from medai.engine.streaming.predict import predict

    unet = {
        "_target_": "UNet",
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": classes,
        "channels": [16, 32, 64, 128, 256],
        "strides": [2, 2, 2, 2],
        "num_res_units": 2,
    }
    with tempfile.TemporaryDirectory() as folder:
        pipeline, volume = _bundle(Path(folder), unet, size, 1.2, roi=roi, overlap=0.5)
        batch = pipeline.preprocess([volume])
        image = batch["image"].as_tensor()
        windows = dense_patch_slices(image.shape[2:], roi, tuple(n // 2 for n in roi))

        levels = torch.arange(classes, dtype=torch.float32).reshape(1, -1, 1, 1, 1)

        def network(windows: torch.Tensor) -> torch.Tensor:
            # The time is the UNet's, the labels are the image's: random weights would give a new one at every voxel.
            return pipeline.network(windows).mul_(0).add_(-((windows - levels) ** 2))

        def forward_passes() -> None:
            with torch.inference_mode():
                for window in windows:
                    network(image[(slice(None), slice(None), *window)])

        ratio, ours, bare = paired_ratio(
            lambda: predict(pipeline, pipeline.preprocess([volume]), volume, network=network), forward_passes, 3
        )
    what = f"predict over the bare forward passes of a UNet with {classes} classes ({ours:.1f} s, {bare:.1f} s)"
    return Row(what, f"{ratio:.3f}", "<= 1.10", ratio <= 1.10)


def _measured(way: str, size: tuple[int, ...], spacing: float, budget_gib: float = 3.5) -> dict[str, Any]:
    """Peak memory and time of one way, in a process of its own."""
    options = {"spacing": spacing, "way": way, "budget_gib": budget_gib}
    arguments = [*map(str, size), *(f"{name}={value}" for name, value in options.items())]
    command = [sys.executable, "-m", "benchmarks.streaming_bench", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _one(
    size: tuple[int, int, int],
    spacing: float = 1.0,
    way: str = "streamed",
    overlap: float = 0.25,
    budget_gib: float = 3.5,
) -> dict[str, Any]:
    import hashlib

    from medai.engine.streaming.predict import predict, why_not

    network = {"_target_": "torch.nn.Conv3d", "in_channels": 1, "out_channels": CLASSES, "kernel_size": 1}
    with tempfile.TemporaryDirectory() as folder:
        pipeline, volume = _bundle(Path(folder), network, size, spacing, overlap=overlap, roi=_ROI)
    batch = pipeline.preprocess([volume])
    reason = why_not(pipeline, batch)
    with _Peak() as peak:
        begin = time.perf_counter()
        if way == "streamed":
            prediction = predict(pipeline, batch, volume, budget_bytes=int(budget_gib * _GIB))
        else:
            prediction = pipeline.postprocess(pipeline.infer(batch), volume)
        seconds = time.perf_counter() - begin
    return {
        "peak": peak.bytes,
        "seconds": seconds,
        "digest": hashlib.sha256(prediction.array.tobytes()).hexdigest(),
        "labels": int(prediction.array.max()),
        "why_not": reason,
    }


def _bundle(
    folder: Path,
    network: dict[str, Any],
    size: tuple[int, int, int],
    spacing: float,
    *,
    roi: tuple[int, int, int],
    overlap: float,
) -> tuple[Any, Volume]:
    """A bundle, and a smooth image for it whose voxels are 1 mm wide."""
    import torch

    import small_bundles
    from medai.bundles.pipeline import Pipeline
    from small_bundles import Recipe

    pixdim = {"_target_": "Spacingd", "keys": "image", "pixdim": [spacing] * 3, "mode": "bilinear"}
    classes = int(network["out_channels"])
    recipe = Recipe(
        network=network,
        pre=[small_bundles.LOAD, *([pixdim] if spacing != 1 else [])],
        post=[small_bundles.INVERT, small_bundles.ARGMAX, small_bundles.SAVE],
        inferer={"_target_": "SlidingWindowInferer", "roi_size": list(roi), "overlap": overlap} | {"mode": "gaussian"},
        labels={f"{n}": f"structure {n}" for n in range(classes)},
    )
    if "Conv3d" in network["_target_"]:
        # Tangents of a parabola: the highest one is that of the intensity nearest to it, so every class is found.
        recipe.scale_and_offset = tuple((2.0 * n, -1.0 * n * n) for n in range(classes))
    pipeline = Pipeline(small_bundles.write_bundle(folder / "bundle", recipe), "cpu")
    torch.manual_seed(3)
    coarse = torch.rand(1, 1, *(max(n // 16, 2) for n in size)) * (classes + 8) - 4
    smooth = torch.nn.functional.interpolate(coarse, size, mode="trilinear")[0, 0]
    return pipeline, Volume(smooth.numpy().astype(np.float32), np.eye(4), "smooth", "CT")


class _Peak:
    """Highest memory of this process while it lasts, beyond what it had before."""

    def __enter__(self) -> _Peak:
        self._process = psutil.Process()
        self._before = self._highest = self._process.memory_info().rss
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        return self

    def _look(self) -> None:
        while not self._over.wait(0.005):
            self._highest = max(self._highest, self._process.memory_info().rss)

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()

    @property
    def bytes(self) -> int:
        return self._highest - self._before


if __name__ == "__main__":
    edges = (int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    given = dict(option.split("=") for option in sys.argv[4:])
    print(json.dumps(_one(edges, **{name: value if name == "way" else float(value) for name, value in given.items()})))
