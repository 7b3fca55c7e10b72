"""The program that measures models: ``python -m medai.training.compression.measuring FOLDER``.

A process of its own, whose memory is that of the model alone; it ends with the one that started it. The folder holds
``task.json`` and ``images.npz`` and gets ``found.json``. Nothing is handed over but names and numbers: the models are
loaded here, as guarded as any other.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medai.engine.backends.converter import end_with_parent
from medai.volume import Volume

if TYPE_CHECKING:
    from medai.bundles.pipeline import Pipeline

_LONGEST_S = 90.0
_FEWEST = 3
FLOAT_IN_OPENVINO = "openvino:"
"""Before a bundle's folder: its float network, in OpenVINO's form."""


def main(folder: Path) -> None:
    """Do what ``task.json`` asks for."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    stored = np.load(folder / "images.npz", allow_pickle=False)
    count = len(stored.files) // 2
    images = tuple(Volume(stored[f"array{n}"], stored[f"affine{n}"], f"image {n}") for n in range(count))
    import torch

    from medai.bundles import pipeline as _  # noqa: F401 - the libraries are not the model's memory
    from medai.engine.backends import openvino

    if importlib.util.find_spec("openvino") is not None:
        openvino.package()
    torch.set_num_threads(task["threads"])
    found = _memory(task["roots"][0], images) if task["memory"] else _seconds(task["roots"], images, task["turns"])
    (folder / "found.json").write_text(json.dumps(found), encoding="utf-8")


def _memory(root: str, images: tuple[Volume, ...]) -> dict[str, float]:
    """Bytes beyond what the libraries take."""
    import psutil

    before = psutil.Process().memory_info().rss
    pipeline = _loaded(root)
    pipeline.infer(pipeline.preprocess(images))
    return {"bytes": float(max(_peak() - before, 0))}


def _seconds(roots: list[str], images: tuple[Volume, ...], turns: int) -> dict[str, list[float]]:
    """Of the network on one image, all models in turns; the first turn is for warming up and does not count."""
    pipelines = [_loaded(root) for root in roots]
    batches = [pipeline.preprocess(images) for pipeline in pipelines]
    found: dict[str, list[float]] = {root: [] for root in roots}
    began = time.perf_counter()
    for turn in range(turns + 1):
        for root, pipeline, batch in zip(roots, pipelines, batches, strict=True):
            start = time.perf_counter()
            pipeline.infer(batch)
            if turn:
                found[root].append(time.perf_counter() - start)
        if turn >= _FEWEST and time.perf_counter() - began > _LONGEST_S:
            break
    return found


def _loaded(root: str) -> Pipeline:
    from medai.bundles.pipeline import Pipeline

    pipeline = Pipeline(Path(root.removeprefix(FLOAT_IN_OPENVINO)), "cpu")
    if root.startswith(FLOAT_IN_OPENVINO):
        from medai.training.compression.compiled import compiled, forward_of

        def compile_it(network: Any, given: Any) -> None:
            """The first window shows what the network is called with."""
            hook.remove()
            window = given[0].detach()[:1]
            model, outputs, _ = compiled(network, window)
            network.forward = forward_of(network, model, outputs, tuple(window.shape[1:]))

        hook = pipeline.network.register_forward_pre_hook(compile_it)
    return pipeline


def _peak() -> int:
    """Most memory that this process has had, in bytes."""
    import psutil

    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    if sys.platform.startswith("linux"):  # what getrusage tells there is inherited from the parent
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)  # without the slow end of libraries that have threads of their own
