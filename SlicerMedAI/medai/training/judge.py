"""Run a model on cases with references, as a person would run it, and measure what comes out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medai.bundles.description import Description, describe
from medai.engine.devices import choose_device
from medai.errors import InputError
from medai.jobs.job import Job
from medai.progress import Progress, Report
from medai.result import Result, Table
from medai.tasks.life import Life
from medai.training.data import DataList
from medai.training.data.item import DataItem
from medai.training.data.voxels import read_source
from medai.training.evaluation import (
    About,
    ClassificationCase,
    Evaluation,
    RestorationCase,
    SegmentationCase,
    evaluate,
)
from medai.training.evaluation.run import Kind
from medai.training.request import EvaluationRequest
from medai.volume import Volume

if TYPE_CHECKING:
    from medai.engine.loaded import LoadedModels

STAGE = "Evaluating"
_NOISE = (0.01, 0.15)
_Next = Callable[[int], None]


def evaluate_job(job: Job, report: Report, loaded: LoadedModels) -> Result:
    """Evaluate a model on a part of a data list, and write the report.

    Parameters
    ----------
    job : Job
        Its ``bundle`` is the model, its parameters those of an `EvaluationRequest`.
    report, loaded
        As for `medai.tasks.run`.

    Returns
    -------
    Result
        A table of the scores and one of the cases.
    """
    request = EvaluationRequest.of(job.parameters)
    life = Life(job, report, STAGE)
    device = choose_device(request.device)
    life.tell(device.reason)
    data = request.data.part(request.split) if request.split else request.data
    found = judge(Path(job.bundle), data, report, loaded, device=device.name, split=request.split)
    found.write(request.folder)
    provenance = life.provenance([describe(Path(job.bundle))], request, device)
    return Result((scores(found), found.table), provenance)


def scores(found: Evaluation) -> Table:
    """The summary as a table: metric, label, value, its interval, and the number of cases."""
    names = ("Metric", "Label", "Value", "Low", "High", "Unit", "Cases")
    rows = [(e.metric, e.label, e.value, e.low, e.high, e.unit, e.n) for e in found.summary.estimates]
    return Table({name: tuple(row[n] for row in rows) for n, name in enumerate(names)}, "scores")


def judge(
    root: Path,
    data: DataList,
    report: Report,
    loaded: LoadedModels,
    *,
    device: str = "cpu",
    split: str = "",
    backend: str = "auto",
) -> Evaluation:
    """Scores of a model with their intervals.

    Parameters
    ----------
    root : Path
        The bundle's folder.
    data : DataList
        The cases to judge it by.
    report : callable
        Hears of progress; may raise to stop.
    loaded : LoadedModels
        Runs the model.
    device : str
        A PyTorch device that exists on this computer.
    split : str
        What part of the data it is, for the report.
    backend : str
        Of a segmentation, see `medai.segment`.

    Raises
    ------
    InputError
        When no case has a reference, or the model's task cannot be evaluated.
    """
    description = describe(root)
    task = description.task
    key = {"segment": "label", "classify": "label", "denoise": "image"}.get(task)
    if key is None:
        raise InputError(
            f"The model '{description.name}' cannot be evaluated.",
            f"There is no evaluation for its task ({task}).",
            "Choose a model that segments, classifies or denoises.",
        )
    usable = data.where(lambda item: key in item.files or item.values.get(key) is not None)
    if not len(usable):
        raise InputError(
            f"The model '{description.name}' cannot be evaluated on these data.",
            f"No case{f' for {split}' if split else ''} has a reference to compare with.",
            "Choose other data, or another part of them (--split).",
        )

    def at(number: int) -> None:
        report(Progress(STAGE, number, len(usable)))

    about = About(
        f"{description.title}: evaluation", f"{description.name} {description.version}", data.name, split or "all cases"
    )
    if task == "segment":
        labels = _values(data, description)
        cases = _segmented(root, usable, at, loaded, {"device": device, "backend": backend})
        return evaluate("segment", cases, labels=labels, about=about)
    pipeline_cases = _classified if task == "classify" else _denoised
    kind: Kind = "classify" if task == "classify" else "denoise"
    found = pipeline_cases(root, usable, at, loaded, device)
    return evaluate(kind, found, labels=description.classes if task == "classify" else (), about=about)


def _segmented(
    root: Path, data: DataList, at: _Next, loaded: LoadedModels, parameters: dict[str, object]
) -> Iterator[SegmentationCase]:
    from medai.tasks.segment.run import run as segment

    for number, item in enumerate(data):
        at(number)
        images = _images(item)
        job = Job("segment", root, images, parameters)
        found = segment(job, lambda _, number=number: at(number), loaded).labelmap  # type: ignore[misc]
        reference = read_source(item.files["label"][0])
        yield SegmentationCase(
            name=item.name, patient=item.patient, image=images[0], reference=reference, prediction=found
        )
    at(len(data))


def _values(data: DataList, description: Description) -> dict[str, int]:
    """Value in the data's label maps of every structure that the model finds."""
    named = {name.casefold(): value for value, name in data.label_names.items()}
    return {
        segment.name: named.get(segment.name.casefold(), _number(segment.name) or segment.value)
        for segment in description.segments
    }


def _number(name: str) -> int | None:
    word = name.removeprefix("label ")
    return int(word) if word.isdecimal() else None


def _classified(
    root: Path, data: DataList, at: _Next, loaded: LoadedModels, device: str
) -> Iterator[ClassificationCase]:
    pipeline = loaded.get(root, device)
    for number, item in enumerate(data):
        at(number)
        images = _images(item)
        found = pipeline.probabilities(pipeline.infer(pipeline.preprocess(images)))
        label = item.label
        truth = [math.nan if one is None else one for one in label] if isinstance(label, tuple) else label
        yield ClassificationCase(
            name=item.name,
            patient=item.patient,
            image=images[0],
            truth=truth,  # type: ignore[arg-type]  # numbers, as `_usable` has seen
            probability=found,
        )
    at(len(data))


def _denoised(root: Path, data: DataList, at: _Next, loaded: LoadedModels, device: str) -> Iterator[RestorationCase]:
    """Each image with simulated Rician noise of a strength of its own, the same in every evaluation."""
    pipeline = loaded.get(root, device)
    for number, item in enumerate(data):
        at(number)
        clean = _images(item)[0]
        array = clean.array.astype(np.float32)
        low, high = (float(value) for value in np.percentile(array, (0.5, 99.5)))
        rng = np.random.default_rng(number)
        sigma = rng.uniform(*_NOISE) * (high - low)
        real, imaginary = (rng.normal(0, sigma, array.shape).astype(np.float32) for _ in range(2))
        noisy = Volume(np.hypot(array + real, imaginary), clean.affine, clean.name, clean.modality)
        restored = pipeline.image(pipeline.infer(pipeline.preprocess((noisy,))), clean.name)
        yield RestorationCase(
            name=item.name,
            patient=item.patient,
            image=clean,
            reference=Volume(array, clean.affine, clean.name, clean.modality),
            restored=restored,
            degraded=noisy,
            data_range=(low, high),
        )
    at(len(data))


def _images(item: DataItem) -> tuple[Volume, ...]:
    return tuple(read_source(source) for source in item.files["image"])
