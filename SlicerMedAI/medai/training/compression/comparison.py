"""What a compression has won and lost: size, parameters, time, memory, and the task's metric on the same cases."""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medai.bundles.quantized import BIN, XML
from medai.bundles.weights import load_state_dict, weights_path
from medai.errors import JobError
from medai.jobs.process import python_executable
from medai.result import Table
from medai.training.compression import derived
from medai.training.compression.measuring import FLOAT_IN_OPENVINO
from medai.training.evaluation import Estimate, Evaluation
from medai.training.evaluation.bootstrap import Interval, interval
from medai.training.evaluation.cases import Row, numbers
from medai.training.evaluation.classification import binary_metrics
from medai.training.evaluation.detection import average_precisions
from medai.training.evaluation.findings import ClassificationDetails, DetectionDetails
from medai.volume import Volume

METRICS = {"segment": "dice", "classify": "auroc", "detect": "map@0.50", "denoise": "psnr_db", "encode": "psnr_db"}
"""By which each task is judged; higher is better."""
_TURNS = 7
_POLL_S = 0.1
_NAN = math.nan


@dataclass(frozen=True)
class Judged:
    """The task's metric before and after, on the same cases.

    Parameters
    ----------
    before, after : Estimate
    difference : Interval
        After minus before, every draw the same patients for both.
    """

    before: Estimate
    after: Estimate
    difference: Interval

    @property
    def fall(self) -> float:
        """What was lost, as a share of what it was; below 0 when it is better."""
        lost = self.before.value - self.after.value
        if self.before.value:
            return lost / abs(self.before.value)
        return math.inf if lost > 0 else 0.0


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


def judged(task: str, before: Evaluation, after: Evaluation) -> Judged | None:
    """Both evaluations' metric with the interval of its difference; None where it is not defined."""
    name = METRICS[task]
    pair = [_estimate(found, name) for found in (before, after)]
    if any(one is None or not math.isfinite(one.value) for one in pair):
        return None
    score, other = (_score(found, name) for found in (before, after))
    people = _people(before)
    difference = interval(lambda index: other(index) - score(index), (np.arange(len(people)),), people)
    return Judged(pair[0], pair[1], difference)  # type: ignore[arg-type]  # neither is None


def costs(
    source: Path, root: Path, images: Sequence[Volume], waiting: Callable[[], None], threads: int
) -> tuple[Cost, Cost, float]:
    """What both models take, measured in processes of their own.

    Parameters
    ----------
    source, root : Path
        The bundles before and after.
    images : sequence of Volume
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
    if (root / XML).is_file():
        roots.append(f"{FLOAT_IN_OPENVINO}{source}")
    times = _measured({"roots": roots, "memory": False, "turns": _TURNS, "threads": threads}, images, waiting)
    seconds = [statistics.median(times[name]) for name in roots]
    found = []
    for each, spent in zip((source, root), seconds, strict=False):
        task = {"roots": [str(each)], "memory": True, "turns": 1, "threads": threads}
        memory = _measured(task, images, waiting)["bytes"]
        state = load_state_dict(each)
        files = [each / XML, each / BIN] if (each / XML).is_file() else [weights_path(each)]
        weights = sum(path.stat().st_size for path in files)
        distinct = {tensor.data_ptr(): tensor.numel() for tensor in state.values() if tensor.is_floating_point()}
        found.append(Cost(derived.size_of(each), weights, sum(distinct.values()), spent, memory))
    return found[0], found[1], seconds[2] if len(seconds) > 2 else _NAN


def table(before: Cost, after: Cost, in_openvino: float, found: Judged | None) -> Table:
    """One row per quantity; intervals are of 95 %, that of the difference is paired."""
    mb, ms = 1e6, 1e-3
    rows: list[tuple[str, str, float, float]] = [
        ("Bundle on the disk", "MB", before.bundle / mb, after.bundle / mb),
        ("Weights computed with", "MB", before.weights / mb, after.weights / mb),
        ("Parameters", "", before.parameters, after.parameters),
        ("CPU time per image", "ms", before.seconds / ms, after.seconds / ms),
        ("Peak memory", "MB", before.memory / mb, after.memory / mb),
    ]
    if math.isfinite(in_openvino):
        rows.insert(4, ("CPU time, before in OpenVINO", "ms", in_openvino / ms, after.seconds / ms))
    columns: dict[str, list[object]] = {
        "Quantity": [row[0] for row in rows],
        "Unit": [row[1] for row in rows],
        "Before": [round(row[2], 3) for row in rows],
        "After": [round(row[3], 3) for row in rows],
        "After / before": [round(row[3] / row[2], 3) if row[2] else _NAN for row in rows],
    }
    for name in _INTERVALS:
        columns[name] = [_NAN] * len(rows)
    if found is not None:
        b, a, d = found.before, found.after, found.difference
        named = f"{b.metric} ({b.label})" if b.label else b.metric
        ratio = a.value / b.value if b.value else _NAN
        intervals = (b.low, b.high, a.low, a.high, d.value, d.low, d.high, b.n)
        values: tuple[object, ...] = (named, b.unit, b.value, a.value, ratio, *intervals)
        for column, value in zip(columns.values(), values, strict=True):
            column.append(round(float(value), 4) if isinstance(value, float) else value)
    return Table({name: tuple(values) for name, values in columns.items()}, "comparison")


_INTERVALS = (
    "Before, low",
    "Before, high",
    "After, low",
    "After, high",
    "Difference",
    "Difference, low",
    "Difference, high",
    "Cases",
)


def _estimate(found: Evaluation, name: str) -> Estimate | None:
    """The mean over structures, or the only structure's."""
    named = [estimate for estimate in found.summary.estimates if estimate.metric == name]
    return next((estimate for estimate in named if not estimate.label), named[0] if named else None)


def _score(found: Evaluation, name: str) -> Callable[[NDArray[np.intp]], float]:
    """The metric as a function of the positions of cases."""
    details = found.details
    if isinstance(details, DetectionDetails):
        count = details.matches.images

        def precision(index: NDArray[np.intp]) -> float:
            weights = np.bincount(index, minlength=count).astype(np.float64)
            return average_precisions(details.matches, weights).get(name, _NAN)

        return precision
    if isinstance(details, ClassificationDetails):
        truth, said = details.truth, details.probability

        def area(index: NDArray[np.intp]) -> float:
            return _mean([_auroc(truth[index, n], said[index, n]) for n in range(truth.shape[1])])

        return area
    order = _cases(found)
    values: dict[tuple[str, str], list[float]] = {case: [] for case in order}
    for row, value in zip(found.rows, numbers(list(found.rows), name), strict=True):
        values[_case(row)].append(float(value))
    means = np.array([_mean(values[case]) for case in order])
    return lambda index: _mean(means[index].tolist())


def _auroc(truth: NDArray[np.float64], score: NDArray[np.float64]) -> float:
    known = ~np.isnan(truth)
    kept = truth[known]
    return binary_metrics(kept, score[known])["auroc"] if kept.any() and not kept.all() else _NAN


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else _NAN


def _case(row: Row) -> tuple[str, str]:
    return str(row["case"]), str(row["patient"])


def _cases(found: Evaluation) -> list[tuple[str, str]]:
    return list(dict.fromkeys(_case(row) for row in found.rows))


def _people(found: Evaluation) -> list[Hashable]:
    details, cases = found.details, _cases(found)
    count = len(cases)
    if isinstance(details, DetectionDetails):
        count = details.matches.images
    elif isinstance(details, ClassificationDetails):
        count = len(details.truth)
    if count != len(cases):  # cases of one name
        return list(range(count))
    return [patient or case for case, patient in cases]


def _measured(task: dict[str, object], images: Sequence[Volume], waiting: Callable[[], None]) -> Any:
    with tempfile.TemporaryDirectory(prefix="medai-") as name:
        folder = Path(name)
        (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
        arrays: dict[str, Any] = {f"array{n}": image.array for n, image in enumerate(images)}
        arrays |= {f"affine{n}": image.affine for n, image in enumerate(images)}
        np.savez(folder / "images.npz", **arrays)
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
