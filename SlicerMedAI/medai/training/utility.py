"""What synthetic images are good for: train on them, judge on real cases, beside the same training on real ones.

Four networks are trained by the product's own engine, all with the same parameters and for about as many steps: on real
cases, on as many synthetic ones, on a few real ones, and on these few together with the synthetic ones.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medai.bundles.description import describe
from medai.errors import InputError
from medai.files import write
from medai.jobs.job import Job
from medai.progress import Progress, Report
from medai.result import Labelmap
from medai.tasks.synthesize.sampling import Sample, samples
from medai.training.data import DataList
from medai.training.data.item import TRAINING, DataItem
from medai.training.evaluation import Estimate, Evaluation, intervals
from medai.training.evaluation.classification import binary_metrics
from medai.training.framing import Frame
from medai.training.parameters import TrainingParameters
from medai.volume import Volume

if TYPE_CHECKING:
    from medai.engine.loaded import LoadedModels
    from medai.training.evaluation.cases import Row

Floats = NDArray[np.float64]
REAL, MADE, FEW, BOTH = "real", "synthetic", "few_real", "few_real_and_synthetic"
_COMMON: dict[str, object] = {
    "batch_size": 2,
    "augmentation": ["flip", "affine", "intensity"],
    "bf16": True,
    "validate_every": 100_000,
}
_BY_TASK: dict[str, dict[str, object]] = {
    "segment": {"network": "unet", "width": 16, "learning_rate": 0.003},
    "classify": {"network": "resnet10", "width": 16, "batch_size": 16, "learning_rate": 0.002},
}


@dataclass(frozen=True)
class Trials:
    """How much is trained to see what synthetic images are good for.

    Parameters
    ----------
    epochs : int
        Times every case is seen, where there are most.
    cases : int
        Real, and synthetic, cases; 0 for all real ones that there are to learn from.
    few : int
        Of the trainings with few real cases.
    parameters : mapping
        Of the trainings, over those that are usual.
    """

    epochs: int = 20
    cases: int = 0
    few: int = 20
    parameters: Mapping[str, object] | None = None


def with_utility(
    found: Evaluation,
    root: Path,
    report: Report,
    loaded: LoadedModels,
    *,
    learned: DataList,
    held: DataList,
    trials: Trials,
    device: str = "cpu",
    seed: int = 0,
) -> Evaluation:
    """An evaluation, and what its generator's images are good for.

    Parameters
    ----------
    found : Evaluation
        Of the generator.
    root : Path
        The generator's bundle.
    report : callable
        Hears of every step of every training; may raise to stop.
    loaded : LoadedModels
    learned, held : DataList
        Real cases with labels to train with, and others to judge by.
    trials : Trials
    device : str
    seed : int
        Of the synthetic images and of the trainings.

    Raises
    ------
    InputError
        When the generator makes neither labels nor classes, or no real case is labelled.
    """
    task, learned, held = _task(root, learned, held)
    count = min(trials.cases or len(learned), len(learned))
    real = _taken(learned, count)
    few = _taken(learned, min(trials.few, count))
    with tempfile.TemporaryDirectory(prefix="medai-", ignore_cleanup_errors=True) as place:
        pipeline = loaded.get(root, device)
        made: list[DataItem] = []
        same = dict(_BY_TASK[task])
        for sample in samples(pipeline, count, seed):
            same |= {} if made else _seen_alike(sample)
            report(Progress("Making images to train with", len(made), count))
            made.append(_saved(sample, Path(place), learned))
        # As often as the synthetic ones, which outnumber them.
        arms = {REAL: real, MADE: made, FEW: few, BOTH: [*made, *few * max(1, round(count / len(few)))]}
        judged = {}
        for number, (name, items) in enumerate(arms.items(), 1):
            said = f"Training {number} of {len(arms)} ({name.replace('_', ' ')}, {len(items)} cases)"
            report(Progress(said, number - 1, len(arms), note=said))
            data = held.with_items([replace(item, split=TRAINING) for item in items])
            epochs = max(1, round(trials.epochs * count / len(items)))
            chosen = {**_COMMON, **same, **(trials.parameters or {}), "epochs": epochs, "seed": seed}
            given = {"data": data, "task": task, "parameters": TrainingParameters.of(chosen), "device": device}
            job = Job("train", Path(place) / name, (), {**given, "validation": 0.0, "skip_bad": True})
            judged[name] = _judged(job, held, report, loaded, device)
    summary = replace(
        found.summary,
        estimates=(*found.summary.estimates, *_estimates(task, judged, found)),
        settings={**found.summary.settings, "trained to compare": _words(task, trials, count, len(few), len(held))},
    )
    return replace(found, summary=summary)


def _seen_alike(sample: Sample) -> dict[str, object]:
    """Parameters with which every network sees real and synthetic images in the same size and at the same spacing."""
    frame = Frame.of(sample.image)
    planar = frame.size[2] == 1
    patch = [max(8, edge // 8 * 8) for edge in frame.size[: 2 if planar else 3]]
    return {"patch_size": patch} | ({} if planar else {"spacing": list(frame.spacing)})


def _task(root: Path, learned: DataList, held: DataList) -> tuple[str, DataList, DataList]:
    description = describe(root)
    task = "segment" if description.segments else "classify" if description.conditions else ""
    parts = []
    for part in (learned, held):
        if task == "segment":
            parts.append(part.where(lambda item: "label" in item.files))
        else:
            parts.append(part.where(lambda item: isinstance(item.label, int)))
    if not task or not all(len(part) for part in parts):
        why = "Real cases of both parts must have labels." if task else "It makes neither labels nor classes of images."
        raise InputError(
            f"It cannot be said what images of '{root.name}' are good for.",
            why,
            "Leave that part of the evaluation out, or give labelled data, divided for training and validation.",
        )
    return task, parts[0], parts[1]


def _taken(data: DataList, count: int) -> list[DataItem]:
    """Evenly, so that a list in the order of its classes gives some of each."""
    chosen = np.linspace(0, len(data) - 1, count).round().astype(int)
    return [data[int(n)] for n in chosen]


def _saved(sample: Sample, place: Path, data: DataList) -> DataItem:
    name = f"synthetic {sample.number:05d}"
    ending = "mha" if sample.image.shape[0] == 1 else "nii.gz"
    path = place / f"{name}.{ending}"
    write(sample.image, path)
    if sample.labelmap is None:
        return DataItem(name, {"image": (path,)}, {"label": _class(sample.condition, data), "synthetic": True})
    label = path.with_name(f"{name} label.{ending}")
    write(Volume(_values(sample.labelmap, data), sample.image.affine, label.name), label)
    return DataItem(name, {"image": (path,), "label": (label,)}, {"synthetic": True})


def _class(condition: str, data: DataList) -> int:
    """Number in the data of the class that a generator calls so."""
    values = {item.label for item in data if isinstance(item.label, int)}
    known = {data.label_names.get(value, f"class {value}").casefold(): value for value in values}
    if condition.casefold() not in known:
        raise InputError(
            "It cannot be said what the images of this model are good for.",
            f"It makes images of '{condition}', and the data have: {', '.join(known)}.",
            "Give data with classes of the names that the model knows.",
        )
    return known[condition.casefold()]


def _values(labelmap: Labelmap, data: DataList) -> NDArray[np.uint8]:
    """The label map with the values that structures of these names have in the data."""
    known = {name.casefold(): value for value, name in data.label_names.items()}
    found = np.zeros(labelmap.array.shape, np.uint8)
    for segment in labelmap.segments:
        found[labelmap.array == segment.value] = known.get(segment.name.casefold(), segment.value)
    return found


def _judged(job: Job, held: DataList, report: Report, loaded: LoadedModels, device: str) -> Evaluation:
    """Train, and judge what came out."""
    # They judge generators, so each knows the other.
    from medai.training.judge import judge
    from medai.training.run import train

    train(job, report, loaded)
    return judge(Path(job.bundle), held, report, loaded, device=device, backend="torch")


def _estimates(task: str, judged: Mapping[str, Evaluation], found: Evaluation) -> Iterator[Estimate]:
    """Every network's score, and how they compare, all from the same draws of patients."""
    arms = {name: _arrays(task, one.rows) for name, one in judged.items()}
    people = next(iter(arms.values()))[2]
    score = _mean_dice if task == "segment" else _mean_auroc

    def metrics(*drawn: Floats) -> dict[str, float]:
        pairs = zip(drawn[::2], drawn[1::2], strict=True)
        scores = dict(zip(arms, (score(a, b) for a, b in pairs), strict=True))
        return {
            **{f"trained_on_{name}": value for name, value in scores.items()},
            "synthetic_over_real": scores[MADE] / scores[REAL] if scores[REAL] else math.nan,
            "gain_with_synthetic": scores[BOTH] - scores[FEW],
        }

    arrays = [array for truth, said, _ in arms.values() for array in (truth, said)]
    found_intervals = intervals(metrics, arrays, people, found.summary.how)
    return (Estimate.of(key, one, len(people)) for key, one in found_intervals.items())


def _arrays(task: str, rows: Sequence[Row]) -> tuple[Floats, Floats, list[str]]:
    """Two arrays of shape (cases, labels), and the patient of every case."""
    cases = list(dict.fromkeys(str(row["case"]) for row in rows))
    labels = list(dict.fromkeys(str(row["label"]) for row in rows))
    columns = ("dice", "dice") if task == "segment" else ("reference", "probability")
    found = np.full((2, len(cases), len(labels)), np.nan)
    patients = {}
    for row in rows:
        place = cases.index(str(row["case"])), labels.index(str(row["label"]))
        found[:, place[0], place[1]] = [_number(row.get(column)) for column in columns]
        patients[str(row["case"])] = str(row["patient"] or row["case"])
    return found[0], found[1], [patients[case] for case in cases]


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float, np.number)) else math.nan


def _mean_dice(dice: Floats, _: Floats) -> float:
    return float(np.nanmean(dice)) if np.isfinite(dice).any() else math.nan


def _mean_auroc(truth: Floats, said: Floats) -> float:
    found: Iterable[float] = (binary_metrics(y, p)["auroc"] for y, p in zip(truth.T, said.T, strict=True))
    values = [value for value in found if np.isfinite(value)]
    return float(np.mean(values)) if values else math.nan


def _words(task: str, trials: Trials, count: int, few: int, held: int) -> str:
    chosen = {**_BY_TASK[task], **(trials.parameters or {})}
    score = "Dice, mean over structures," if task == "segment" else "AUROC, mean over classes,"
    return (
        f"{chosen['network']} of width {chosen.get('width', 'as usual')}, {trials.epochs} epochs of {count} cases "
        f"(few: {few}, as many steps); {score} of {held} held-back real cases"
    )
