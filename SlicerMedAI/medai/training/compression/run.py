"""Compress a model: make the new bundle in a workplace, judge both, and only then put it in its place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from medai.bundles.description import Description, describe
from medai.bundles.quantized import in_int8
from medai.engine.devices import Device
from medai.errors import InputError
from medai.jobs.job import Job
from medai.progress import Progress, Report
from medai.result import Result
from medai.tasks.choice import usable
from medai.tasks.life import Life
from medai.training.compression import comparison, derived, samples
from medai.training.compression import report as reports
from medai.training.compression.making import make
from medai.training.compression.request import TASKS, CompressionRequest
from medai.training.data import DataList
from medai.training.evaluation import Evaluation
from medai.training.judge import images_of, judge

if TYPE_CHECKING:
    from medai.engine.loaded import LoadedModels

_TITLES = {"quantize": "8 bit", "prune": "pruned", "distill": "distilled", "decompose": "low rank"}
_CPU = Device("cpu", "CPU: models are compressed for computers without a GPU")


def compress(job: Job, report: Report, loaded: LoadedModels) -> Result:
    """Make a smaller, faster model of a model.

    Parameters
    ----------
    job : Job
        Its ``bundle`` is the original, its parameters those of a `CompressionRequest`.
    report : callable
        Hears of progress; may raise `medai.errors.JobCancelled`. Whatever stops it, the original is as it was.
    loaded : LoadedModels
        Runs both models.

    Returns
    -------
    Result
        A `Table` "comparison"; the last note of the provenance says where the new model is.

    Raises
    ------
    MedAIError
        With what happened, why, and what to do.
    """
    request = CompressionRequest.of(job.parameters)
    life = Life(job, report, "Compressing")
    description = usable(job.bundle)
    source = description.root
    check(description, request)
    derived.check_place(source, request.output, overwrite=request.overwrite, replace=request.replace)
    life.mention(_CPU.reason)
    life.at("Loading model")
    pipeline = loaded.get(source, "cpu")
    shown = request.data.where(samples.has_image)
    if not len(shown):
        raise InputError(
            f"There are no images to {request.method} the model with.",
            f"No case of '{request.data.name}' has one.",
            "Name data with images (--data), best with the references that the model was judged by.",
        )
    learned, held_out = samples.divided(shown, description.task, request.parameters.seed)
    if not len(learned):
        raise InputError(
            f"There are no images to {request.method} the model with.",
            "All cases of the data are for judging.",
            "Name data with a training part as well, or data that are not divided.",
        )
    with derived.workplace(source, request.output) as root:
        if in_int8(pipeline.network):
            raise InputError(
                f"The model '{description.name}' cannot be compressed.",
                "It is quantised already.",
                "Compress the model that it was made of.",
            )
        make(request, description, pipeline, learned, root, life=life, report=report)
        derived.describe_origin(root, source, request.method, _TITLES[request.method], request.chosen())
        derived.pin(root, source)  # a bundle whose files are not pinned is not run
        found = _judged(source, root, held_out, report, loaded)
        life.at("Measuring")
        first = images_of((held_out if len(held_out) else learned)[0])
        threads = torch.get_num_threads()
        costs = comparison.costs(source, root, first, lambda: life.at("Measuring"), threads)
        judged = comparison.judged(description.task, *found) if found is not None else None
        table = comparison.table(*costs, judged)
        taken = _decide(request, judged, life)
        reports.write_report(root, table)
        card = root / "docs" / "README.md"
        old = card.read_text(encoding="utf-8") if card.is_file() else ""
        text = reports.card(
            old,
            table,
            source=source.name,
            method=request.method,
            command=f"medai models compress {source.name} --method {request.method} --data DATA",
            data=request.data.name,
            notes=tuple(life.notes),
        )
        derived.write(root, {"docs/README.md": text})
        derived.pin(root, source)
        target = source if taken else request.output
        life.at("Writing")
        derived.publish(root, target)
    life.tell(f"The new model: {target}")
    return Result((table,), life.provenance([describe(target)], request, _CPU))


def check(description: Description, request: CompressionRequest) -> None:
    """Refuse what cannot be done, before anything slow happens.

    Raises
    ------
    InputError
        When the model's task or form does not allow it.
    DependencyError
        When a package is missing.
    """
    task = description.task
    if task not in TASKS:
        why = {
            "synthesize": "It makes images from random numbers, so there is nothing to calibrate with, and no case "
            "whose result could be compared before and after",
            "forecast": "It looks at several visits and their dates at once, which is no image to calibrate with",
        }.get(task, f"There is no measure of how good a model for its task ({task}) is")
        raise InputError(
            f"The model '{description.name}' cannot be compressed.",
            f"{why}.",
            f"Choose a model for one of: {', '.join(TASKS)}.",
        )
    if request.method == "quantize":
        from medai.training.compression.quantize import check_installed

        check_installed()
        if task == "encode":
            raise InputError(
                f"The model '{description.name}' cannot be quantised.",
                "The halves of an autoencoder are called apart, and codes of 8 bits would not be comparable.",
                "Prune, distill or decompose it instead.",
            )


def _judged(
    source: Path, root: Path, held_out: DataList, report: Report, loaded: LoadedModels
) -> tuple[Evaluation, Evaluation] | None:
    """Both models on the same cases; None without any."""
    if not len(held_out):
        return None
    found = []
    for stage, (place, backend) in enumerate(((source, "torch"), (root, "auto"))):
        named = ("Judging the original", "Judging the new model")[stage]

        def tell(progress: Progress, named: str = named) -> None:
            report(Progress(named, progress.done, progress.total, progress.elapsed_s, progress.eta_s))

        found.append(judge(place, held_out, tell, loaded, backend=backend))
    return found[0], found[1]


def _decide(request: CompressionRequest, judged: comparison.Judged | None, life: Life) -> bool:
    """Whether the new model takes the place of the old one; says why."""
    if judged is None:
        life.tell("How good the new model is was not measured: no case of the data has a reference.")
        if request.replace:
            life.tell("The original was not replaced, since nothing shows that the new model is as good.")
        return False
    fall, name = judged.fall, judged.before.metric
    said = f"{name} {judged.before.value:.4g} before, {judged.after.value:.4g} after"
    if fall <= request.tolerance:
        life.tell(f"As good as before within {100 * request.tolerance:g} %: {said}.")
        return request.replace
    tolerated = f"{100 * request.tolerance:g} % would be tolerated"
    life.tell(f"Worse than before: {said}, which is {100 * fall:.2g} % less; {tolerated}.")
    if request.replace:
        life.tell("The original was not replaced. Train the new one longer, compress less, or tolerate more.")
    return False
