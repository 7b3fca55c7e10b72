"""The program that measures models: ``python -m medai.training.compression.measuring FOLDER``.

A process of its own, whose memory is that of the model alone; it ends with the one that started it. The folder holds
``task.json`` and ``shown.npz`` and gets ``found.json``. Nothing is handed over but names and numbers: the models are
loaded here, as guarded as any other.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medai.engine.backends.converter import end_with_parent
from medai.volume import Volume

_LONGEST_S = 90.0
_FEWEST = 3
FLOAT_IN_OPENVINO = "openvino:"
"""Before a bundle's folder: its float network, in OpenVINO's form."""


def main(folder: Path) -> None:
    """Do what ``task.json`` asks for."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    import torch

    from medai.bundles import pipeline as _  # noqa: F401 - the libraries are not the model's memory
    from medai.engine.backends import openvino

    if importlib.util.find_spec("openvino") is not None:
        openvino.package()
    torch.set_num_threads(task["threads"])
    stored = np.load(folder / "shown.npz", allow_pickle=False)
    shown = {name: stored[name] for name in stored.files}
    if task["memory"]:
        found: dict[str, Any] = _memory(task["roots"][0], shown)
    else:
        found = _seconds(task["roots"], shown, task["turns"], task["parts"])
    (folder / "found.json").write_text(json.dumps(found), encoding="utf-8")


def _memory(root: str, shown: Mapping[str, Any]) -> dict[str, float]:
    """Bytes beyond what the libraries take."""
    import psutil

    before = psutil.Process().memory_info().rss
    _ready(root, shown, ())()
    return {"bytes": float(max(_peak() - before, 0))}


def _seconds(roots: list[str], shown: Mapping[str, Any], turns: int, parts: Sequence[str]) -> dict[str, list[float]]:
    """Of the network on one case, all models in turns; the first turn is for warming up and does not count."""
    ready = [_ready(root, shown, parts) for root in roots]
    found: dict[str, list[float]] = {root: [] for root in roots}
    began = time.perf_counter()
    for turn in range(turns + 1):
        for root, call in zip(roots, ready, strict=True):
            start = time.perf_counter()
            call()
            if turn:
                found[root].append(time.perf_counter() - start)
        if turn >= _FEWEST and time.perf_counter() - began > _LONGEST_S:
            break
    return found


def _ready(root: str, shown: Mapping[str, Any], parts: Sequence[str]) -> Callable[[], object]:
    """A model that is loaded, to be called with what it is shown: prepared images, or the network's own arguments."""
    import torch

    from medai.bundles.parts import parts_of
    from medai.bundles.pipeline import Pipeline
    from medai.bundles.quantized import attach

    place = Path(root.removeprefix(FLOAT_IN_OPENVINO))
    arguments = [torch.from_numpy(array) for name, array in shown.items() if name.startswith("argument")]
    if arguments:
        network = parts_of(place, "cpu").network
        attach(network, place, "cpu")
    else:
        pipeline = Pipeline(place, "cpu")
        network = pipeline.network
        count = sum(name.startswith("array") for name in shown)
        images = [Volume(shown[f"array{n}"], shown[f"affine{n}"], f"image {n}") for n in range(count)]
        batch = pipeline.preprocess(images)
    if root.startswith(FLOAT_IN_OPENVINO):
        for part in parts:
            _compile_when_called(network.get_submodule(part))

    def call() -> object:
        with torch.inference_mode():
            return network(*arguments) if arguments else pipeline.infer(batch)

    return call


def _compile_when_called(module: Any) -> None:
    """The first call shows what a network, or a part of it, is called with."""
    from medai.training.compression.compiled import compiled, forward_of

    def compile_it(_: Any, given: Any) -> None:
        hook.remove()
        call = tuple(one.detach()[:1] for one in given)
        model, outputs, _ = compiled(module, [call])
        module.forward = forward_of(module, model, outputs, tuple(call[0].shape[1:]) if call[0].ndim > 3 else None)

    hook = module.register_forward_pre_hook(compile_it)


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
