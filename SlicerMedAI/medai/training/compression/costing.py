"""What models take: bytes on the disk, parameters, time and memory, measured in processes of their own."""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medai.bundles.quantized import files_of, has_int8, int8_of
from medai.bundles.weights import load_state_dict, weights_path
from medai.errors import JobError
from medai.jobs.process import python_executable
from medai.training.compression import derived
from medai.training.compression.measuring import FLOAT_IN_OPENVINO
from medai.training.compression.work import Shown
from medai.volume import Volume

_TURNS = 7
_POLL_S = 0.1


@dataclass(frozen=True)
class Cost:
    """What a model takes.

    Parameters
    ----------
    bundle, weights : int
        Bytes on the disk: of the whole bundle, and of the file that is computed with.
    parameters : int
    seconds : float
        Of its network for one image on the CPU, the median of several turns.
    memory : float
        Bytes at most, beyond what the libraries take.
    """

    bundle: int
    weights: int
    parameters: int
    seconds: float
    memory: float


def costs(
    source: Path, root: Path, shown: Shown, waiting: Callable[[], None], threads: int
) -> tuple[Cost, Cost, float]:
    """What both models take, measured in processes of their own.

    Parameters
    ----------
    source, root : Path
        The bundles before and after.
    shown : Shown
        What the models take at once.
    waiting : callable
        Called several times a second; may raise to stop.
    threads : int
        Of the CPU.

    Returns
    -------
    before, after : Cost
    float
        Seconds of the float network before in OpenVINO, where `root` has an 8-bit form; NaN elsewhere.

    Raises
    ------
    JobError
        When a model cannot be run.
    """
    roots = [str(source), str(root)]
    parts = [form.part for form in int8_of(root)]
    if parts:
        roots.append(f"{FLOAT_IN_OPENVINO}{source}")
    common = {"threads": threads, "parts": parts}
    times = _measured({**common, "roots": roots, "memory": False, "turns": _TURNS}, shown, waiting)
    seconds = [statistics.median(times[name]) for name in roots]
    found = []
    for each, spent in zip((source, root), seconds, strict=False):
        memory = _measured({**common, "roots": [str(each)], "memory": True, "turns": 1}, shown, waiting)["bytes"]
        state = load_state_dict(each)
        eight = [each / name for part in parts for name in files_of(part)] if has_int8(each) else []
        weights = sum(path.stat().st_size for path in eight or [weights_path(each)])
        distinct = {tensor.data_ptr(): tensor.numel() for tensor in state.values() if tensor.is_floating_point()}
        found.append(Cost(derived.size_of(each), weights, sum(distinct.values()), spent, memory))
    return found[0], found[1], seconds[2] if len(seconds) > 2 else math.nan


def _measured(task: dict[str, object], shown: Shown, waiting: Callable[[], None]) -> Any:
    with tempfile.TemporaryDirectory(prefix="medai-") as name:
        folder = Path(name)
        (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
        arrays: dict[str, Any] = {}
        for n, one in enumerate(shown):
            if isinstance(one, Volume):
                arrays |= {f"array{n}": one.array, f"affine{n}": one.affine}
            else:
                arrays[f"argument{n}"] = one.numpy()
        np.savez(folder / "shown.npz", **arrays)
        with (folder / "log").open("wb") as log:
            child = subprocess.Popen(  # noqa: S603 - no shell, our own module
                [str(python_executable()), "-m", "medai.training.compression.measuring", str(folder)],
                stdin=subprocess.PIPE,  # never written to; it closes when this process ends
                stdout=log,
                stderr=log,
                cwd=folder,
                env=_environment(),
                creationflags=_windows_flags(),
            )
            try:
                while child.poll() is None:
                    waiting()
                    time.sleep(_POLL_S)
            finally:
                child.kill()
                child.wait()
                if child.stdin is not None:
                    child.stdin.close()
        found = folder / "found.json"
        if child.returncode or not found.is_file():
            raise JobError(
                "The models could not be measured.",
                f"The program that measures ended with code {child.returncode}.",
                "Close other programs if memory is short; report this with the log if it comes again.",
                details=(folder / "log").read_text(encoding="utf-8", errors="replace")[-4000:],
            )
        return json.loads(found.read_text(encoding="utf-8"))


def _windows_flags() -> int:
    if sys.platform != "win32":
        return 0
    return subprocess.CREATE_NO_WINDOW


def _environment() -> dict[str, str]:
    environment = dict(os.environ)
    root = str(Path(__file__).resolve().parents[3])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH", "")]))
    return environment
