"""Whole warm jobs against MONAI's own inferer in eager PyTorch, in one process and one run.

``python -m benchmarks --only engine-UNet`` (in ``Testing``) measures one network.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.timing import Row
from medai.volume import Volume

SHAPE = (160, 192, 192)
ROI = (96, 96, 96)
OVERLAP = 0.5
# What a network is called in the table: its definition, and how many times faster than eager PyTorch it has to be.
NETWORKS: dict[str, tuple[dict[str, Any], float]] = {
    "UNet": (
        {"_target_": "UNet", "channels": [16, 32, 64, 128, 256], "strides": [2, 2, 2, 2], "num_res_units": 2},
        4.0,
    ),
    "SegResNet": ({"_target_": "SegResNet", "init_filters": 16, "blocks_down": [1, 2, 2, 4]}, 1.8),
    "DynUNet": (
        {
            "_target_": "DynUNet",
            "kernel_size": [3] * 5,
            "strides": [1, 2, 2, 2, 2],
            "upsample_kernel_size": [2] * 4,
            "norm_name": ["INSTANCE", {"affine": True}],
        },
        1.8,
    ),
    "DenseNet121": ({"_target_": "DenseNet121"}, 5.0),
}
_BACKENDS = ("torch", "openvino", "onnxruntime")
_LONGEST_WAIT_S = 300.0


def whole_job(name: str, shape: tuple[int, int, int] = SHAPE, roi: tuple[int, int, int] = ROI, repeats: int = 1) -> Row:
    """One network, warm: eager PyTorch in MONAI's inferer over the whole job, with each backend, all in turns."""
    from medai.bundles import integrity
    from medai.engine.backends import Backends
    from medai.engine.backends.cache import Cache
    from medai.engine.loaded import LoadedModels

    _, goal = NETWORKS[name]
    with tempfile.TemporaryDirectory() as folder:
        root = bundle(Path(folder) / name.lower(), name, roi)
        volume = a_volume(shape)
        with Backends(Cache(Path(folder) / "cache")) as backends:
            loaded = LoadedModels(backends=backends)
            ways = {way: _job(name, root, volume, loaded, way) for way in _BACKENDS}
            pipeline = loaded.get(root, "cpu")

            def ready(way: str, *, begin: bool) -> Any:
                given = root, integrity.digest(root), pipeline.network, "cpu"
                return backends.network(*given, roi_size=roi, channels=1, requested=way, begin=begin)

            # Made before anything is timed, as they are on a computer that has run the model before. They are made
            # behind everything else that runs, which on a busy computer can take longer than anybody waits.
            for way in _BACKENDS[1:]:
                ready(way, begin=True)
            backends.wait(_LONGEST_WAIT_S)
            missing = {way: one.reason for way in _BACKENDS[1:] if (one := ready(way, begin=False)).name != way}
            ways = {way: action for way, action in ways.items() if way not in missing}
            actions = {"eager": _eager(name, pipeline, volume, roi), **ways}
            for action in ways.values():
                action()  # the second job on an image is the warm one
            turns = [{way: _timed(action) for way, action in actions.items()} for _ in range(repeats)]
            seconds = {way: statistics.median(turn[way][0] for turn in turns) for way in actions}
            labels = {way: turns[-1][way][1] for way in actions}
            best = min(ways, key=seconds.__getitem__)
            over = seconds[best] / _forward_passes(name, loaded, pipeline, volume, backend=best, roi=roi)
    parts = [
        f"{way} {seconds['eager'] / seconds[way]:.2f} ({seconds[way]:.1f} s, labels "
        f"{np.mean(labels[way] == labels['eager']):.3%})"
        for way in ways
    ]
    ratio = seconds["eager"] / seconds[best]
    what = f"{name}, warm: MONAI's inferer in eager PyTorch ({seconds['eager']:.1f} s) over a whole job"
    parts += [f"{way} was not measured ({why})" for way, why in missing.items()]
    value = f"{'; '.join(parts)}; the fastest over its own forward passes {over:.2f}"
    return Row(what, value, f"fastest >= {goal}, over passes <= 1.10", ratio >= goal and over <= 1.10)


def cold_start(name: str = "UNet", shape: tuple[int, int, int] = SHAPE, roi: tuple[int, int, int] = ROI) -> Row:
    """One job in a new process, ours and MONAI's, with their peak memory."""
    import nibabel

    with tempfile.TemporaryDirectory() as folder:
        root = bundle(Path(folder) / name.lower(), name, roi)
        volume = a_volume(shape)
        source = root / "input" / "image.nii"
        source.parent.mkdir(exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(volume.array.T, volume.affine), source)
        ours = [sys.executable, "-m", "medai.cli", "segment", str(source), "--model", str(root), "--quiet", "--output"]
        theirs = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(root / "configs/inference.json")]
        seconds, peaks = {}, {}
        for way, command in {
            "medai": [*ours, str(Path(folder) / "out.nii")],
            "monai": [*theirs, "--bundle_root", str(root)],
        }.items():
            seconds[way], peaks[way] = _watched(command)
    ratio = seconds["monai"] / seconds["medai"]
    what = (
        f"{name}, cold: `python -m monai.bundle run` ({seconds['monai']:.1f} s, {peaks['monai'] / 2**30:.2f} GiB) over "
        f"`medai segment` in PyTorch ({seconds['medai']:.1f} s, {peaks['medai'] / 2**30:.2f} GiB)"
    )
    return Row(what, f"{ratio:.2f}", ">= 1", ratio >= 1)


def a_volume(shape: tuple[int, int, int]) -> Volume:
    """Blobs and noise, so that labels have borders."""
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*(np.linspace(-3, 3, n) for n in shape), indexing="ij"))
    array = np.sin(grid[0] * 2) * np.cos(grid[1] * 3) + np.sin(grid[2] * 2) + 0.2 * rng.standard_normal(shape)
    return Volume(array.astype(np.float32), np.eye(4), "image", "MR")


def bundle(root: Path, name: str, roi: tuple[int, int, int]) -> Path:
    """A bundle of that network with seeded random weights."""
    import small_bundles

    definition, _ = NETWORKS[name]
    classifies = name == "DenseNet121"
    network = {"spatial_dims": 3, "in_channels": 1, "out_channels": 3, **definition}
    pre = [small_bundles.LOAD, {"_target_": "NormalizeIntensityd", "keys": "image"}]
    if classifies:
        pre.append({"_target_": "Resized", "keys": "image", "spatial_size": list(roi)})
    inferer = {"_target_": "SlidingWindowInferer", "roi_size": list(roi), "sw_batch_size": 1, "overlap": OVERLAP}
    recipe = small_bundles.Recipe(
        network=network,
        pre=pre,
        post=[] if classifies else [small_bundles.ARGMAX, small_bundles.SAVE],
        inferer={"_target_": "SimpleInferer"} if classifies else inferer,
        labels=small_bundles.THREE,
    )
    return small_bundles.write_bundle(root, recipe)


def _job(name: str, root: Path, volume: Volume, loaded: Any, backend: str) -> Callable[[], Any]:
    if name == "DenseNet121":
        return lambda: _classified(root, volume, loaded, backend)
    from medai.jobs.job import Job
    from medai.progress import ignore
    from medai.tasks import run

    job = Job("segment", root, (volume,), {"device": "cpu", "backend": backend})
    return lambda: run(job, ignore, loaded).labelmap.array


def _classified(root: Path, volume: Volume, loaded: Any, backend: str) -> Any:
    pipeline = loaded.get(root, "cpu")
    batch = loaded.prepared.get(pipeline, (volume,))
    network = loaded.fastest(pipeline, backend).network(batch["image"], lambda: None)
    return np.argmax(pipeline.infer(batch, network)["pred"].numpy())


def _eager(name: str, pipeline: Any, volume: Volume, roi: tuple[int, int, int]) -> Callable[[], Any]:
    """What a script with MONAI does with the preprocessed image."""
    import torch
    from monai.inferers import SlidingWindowInferer

    image = pipeline.preprocess((volume,))["image"].as_tensor()
    inferer = SlidingWindowInferer(roi, sw_batch_size=1, overlap=OVERLAP)

    def action() -> Any:
        with torch.inference_mode():
            if name == "DenseNet121":
                return pipeline.network(image).argmax().numpy()
            return inferer(image, pipeline.network).argmax(1)[0].numpy().T.astype(np.uint8)

    return action


def _timed(action: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = action()
    return time.perf_counter() - began, result


def _forward_passes(
    name: str, loaded: Any, pipeline: Any, volume: Volume, *, backend: str, roi: tuple[int, int, int]
) -> float:
    """Seconds that the network alone takes for the job's windows, as many at once as in the job."""
    import torch

    batch = loaded.prepared.get(pipeline, (volume,))
    image = batch[pipeline.image_key(batch)].as_tensor()
    fastest = loaded.fastest(pipeline, backend)
    network = fastest.network(image, lambda: None)
    window = image[(slice(None), slice(None), *(slice(0, n) for n in roi))]
    count = 1 if name == "DenseNet121" else pipeline.count_windows(batch)
    together = min(fastest.at_once(network, image), count)
    passes = window.expand(count, *window.shape[1:]).contiguous().split(together)
    with torch.inference_mode():
        network(passes[0])
        return _timed(lambda: [network(windows) for windows in passes])[0]


def _watched(command: list[str]) -> tuple[float, int]:
    """Seconds, and the largest memory of a process and its children together."""
    began, peak = time.perf_counter(), 0
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        total = 0
        for one in (process, *_children(process)):
            try:
                total += one.memory_info().rss
            except psutil.Error:
                continue
        peak = max(peak, total)
        time.sleep(0.05)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return time.perf_counter() - began, peak


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []
