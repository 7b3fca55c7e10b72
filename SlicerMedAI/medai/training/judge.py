"""Run a model on cases with references, as a person would run it, and measure what comes out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medai.bundles import configs
from medai.bundles.description import Description, describe
from medai.bundles.labels import spoken
from medai.engine.devices import choose_device
from medai.errors import InputError
from medai.files import check_target
from medai.files.folders import make_folder
from medai.jobs.job import Job
from medai.progress import Progress, Report
from medai.result import Labelmap, Result, Table
from medai.tasks.forecast.model import ForecastModel
from medai.tasks.life import Life
from medai.training.class_order import in_order_of
from medai.training.data import DataList, fitting
from medai.training.data.item import DataItem
from medai.training.data.voxels import read_source
from medai.training.evaluation import (
    About,
    ClassificationCase,
    Evaluation,
    Options,
    RestorationCase,
    SegmentationCase,
    evaluate,
)
from medai.training.evaluation.run import CASES_FILE, Kind
from medai.training.judge_boxes import detected
from medai.training.judge_codes import encoded
from medai.training.judge_courses import forecasted
from medai.training.judge_images import denoised, translated
from medai.training.judge_synthesis import generated
from medai.training.request import EvaluationRequest
from medai.training.utility import Trials
from medai.volume import Volume

if TYPE_CHECKING:
    from medai.engine.loaded import LoadedModels

STAGE = "Evaluating"
_SURE = 0.5
_Next = Callable[[int], None]
_RESTORED: dict[str, tuple[Kind, Callable[..., Iterator[RestorationCase]]]] = {
    "denoise": ("denoise", denoised),
    "encode": ("encode", encoded),
    "translate": ("translate", translated),
}
_REFERENCES = {
    "segment": "label",
    "classify": "label",
    "detect": "box",
    "denoise": "image",
    "encode": "image",
    "translate": "target",
    "synthesize": "image",
}
"""What a case must have for a model of a task to be judged by it."""


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
    make_folder(request.folder)
    check_target(request.folder / CASES_FILE)  # now, and not after hours
    life = Life(job, report, STAGE)
    device = choose_device(request.device)
    life.mention(device.reason)
    description = describe(Path(job.bundle))
    # A generator is compared with the images that it learned from, too.
    whole = not request.split or description.task == "synthesize"
    data = request.data if whole else request.data.part(request.split)
    trials = Trials(request.utility_epochs, request.utility_cases) if request.utility else None
    choices: dict[str, Any] = {"count": request.count, "seed": request.seed, "trials": trials}
    found = judge(Path(job.bundle), data, report, loaded, device=device.name, split=request.split, **choices)
    found.write(request.folder)
    provenance = life.provenance([description], request, device)
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
    count: int = 0,
    seed: int = 0,
    trials: Trials | None = None,
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
    count, seed, trials
        Of a generator's images, see `medai.training.judge_synthesis.generated`.

    Raises
    ------
    InputError
        When no case has a reference, or the model's task cannot be evaluated.
    """
    description = describe(root)
    task = description.task
    if task == "forecast":
        return _forecasts(description, data, report, device=device, split=split)
    key = _REFERENCES.get(task)
    if key is None:
        raise InputError(
            f"The model '{description.name}' cannot be evaluated.",
            f"There is no evaluation for its task ({task}).",
            f"Choose a model of another task: {', '.join(_REFERENCES)}.",
        )
    data = fitting(data, task, report)
    # A class is no label map, and the other way round.
    places = {"segment": ("files",), "classify": ("values",)}.get(task, ("files", "values"))
    usable = data.where(lambda item: any(getattr(item, place).get(key) is not None for place in places))
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
    if task == "synthesize":
        return generated(
            root, usable, report, loaded, device=device, about=about, held=split, count=count, seed=seed, trials=trials
        )
    if task == "segment":
        labels = values_of(data, description)
        cases = _segmented(root, usable, at, loaded, {"device": device, "backend": backend})
        return evaluate("segment", cases, labels=labels, about=about)
    if task == "detect":
        found = detected(loaded.get(root, device), usable, at, description)
        sure = description.operating_points[0].threshold if description.operating_points else _SURE
        return evaluate("detect", found, about=about, options=Options(threshold=sure))
    if task in _RESTORED:
        kind, restored = _RESTORED[task]
        return evaluate(kind, restored(root, usable, at, loaded, device), about=about)
    judged = _classified(root, in_order_of(usable, description), at, loaded, device)
    return _classification(judged, description, about, multi_label=usable.multi_label)


def _classification(
    judged: Iterator[ClassificationCase], description: Description, about: About, *, multi_label: bool
) -> Evaluation:
    classes, points = description.classes, description.operating_points
    told = about if not points else replace(about, notes=(f"Positive is {'; '.join(map(str, points))}.",))
    if multi_label:
        by_name = {point.name: point.threshold for point in points}
        thresholds = tuple(by_name.get(name, 0.5) for name in classes)
        asked = classes if len(classes) > 1 else (f"no {classes[0]}", *classes)
        return evaluate("classify", judged, labels=asked, about=told, options=Options(threshold=thresholds))
    if len(classes) != 2 or not points:
        return evaluate("classify", judged, labels=classes, about=about)
    if points[0].name == classes[0]:
        classes, judged = classes[::-1], (_turned(case) for case in judged)
    return evaluate("classify", judged, labels=classes, about=told, options=Options(threshold=points[0].threshold))


def _forecasts(description: Description, data: DataList, report: Report, *, device: str, split: str) -> Evaluation:
    def at(number: int) -> None:
        report(Progress(STAGE, number, len(data)))

    about = About(
        f"{description.title}: evaluation", f"{description.name} {description.version}", data.name, split or "all cases"
    )
    model = ForecastModel(description.root, device)
    asked = {"targets": model.targets, "classes": model.classes}
    return evaluate("forecast", forecasted(model, data, at), labels=asked, about=about)


def _segmented(
    root: Path, data: DataList, at: _Next, loaded: LoadedModels, parameters: dict[str, object]
) -> Iterator[SegmentationCase]:
    from medai.tasks.segment.run import run as segment

    own = configs.metadata(root).get("medai")
    unknown = own.get("ignore_label") if isinstance(own, dict) else None
    for number, item in enumerate(data):
        at(number)
        images = images_of(item)
        job = Job("segment", root, images, parameters)
        found = segment(job, lambda _, number=number: at(number), loaded).labelmap  # type: ignore[misc]
        reference = read_source(item.files["label"][0])
        if unknown is not None:
            reference, found = _known(reference, found, unknown)
        yield SegmentationCase(
            name=item.name, patient=item.patient, image=images[0], reference=reference, prediction=found
        )
    at(len(data))


def _known(reference: Volume, found: Labelmap, unknown: int) -> tuple[Volume, Labelmap]:
    """Both on background where the reference says that nobody knows."""
    known = reference.array != unknown
    if known.shape != found.array.shape[-3:]:
        return reference, found
    return replace(reference, array=reference.array * known), replace(found, array=found.array * known)


def values_of(data: DataList, description: Description) -> dict[str, int]:
    """Value in the data's label maps of every structure that the model finds."""
    named = {spoken(name).casefold(): value for value, name in data.label_names.items()}
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
        images = images_of(item)
        found = pipeline.probabilities(pipeline.infer(pipeline.preprocess(images)))
        yield ClassificationCase(
            name=item.name,
            patient=item.patient,
            image=images[0],
            truth=truth_of(item),
            probability=found,
        )
    at(len(data))


def _turned(case: ClassificationCase) -> ClassificationCase:
    """The same of two classes in the other order: evaluations take the second for the finding."""
    return replace(case, truth=1 - np.asarray(case.truth), probability=np.asarray(case.probability)[::-1])


def images_of(item: DataItem) -> tuple[Volume, ...]:
    """The images of a case, as a person would give them to its model."""
    return tuple(read_source(source) for source in item.files["image"])


def truth_of(item: DataItem) -> int | list[float]:
    """The number of a case's class; or 0, 1 or NaN (not known) for each of several findings."""
    label = item.label
    if isinstance(label, tuple):
        return [math.nan if one is None else float(one) for one in label]
    return int(label)  # type: ignore[call-overload, no-any-return]  # a number, as the check of the data has seen
