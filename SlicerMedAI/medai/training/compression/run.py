"""Compress a model: make the new bundle in a workplace, judge both, and only then put it in its place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from medai.bundles.description import Description, describe
from medai.bundles.encoders import ENCODE, encoder_config
from medai.bundles.quantized import has_int8
from medai.engine.devices import Device
from medai.errors import InputError
from medai.jobs.job import Job
from medai.progress import Report
from medai.result import Result
from medai.tasks.choice import usable
from medai.tasks.life import Life
from medai.training.compression import comparison, costing, derived
from medai.training.compression import report as reports
from medai.training.compression.comparison import Judged
from medai.training.compression.costing import Cost
from medai.training.compression.making import make
from medai.training.compression.request import TASKS, CompressionRequest
from medai.training.compression.work import Work

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
    work = _work(description, request, loaded)
    with derived.workplace(source, request.output) as root:
        make(request, work, root, life=life, report=report)
        if encoder_config(source) == ENCODE:
            life.tell("The autoencoder that it carries was left as it was; one trained by itself can be compressed.")
        derived.describe_origin(root, source, request.method, _TITLES[request.method], request.chosen())
        derived.pin(root, source)  # a bundle whose files are not pinned is not run
        judged = work.judged(root, report, loaded)
        life.at("Measuring")
        costs = costing.costs(source, root, work.shown(), lambda: life.at("Measuring"), torch.get_num_threads())
        _tell_unfelt(*costs, life)
        table = comparison.table(*costs, judged, work.one)
        taken = _decide(request, judged, life)
        reports.write_report(root, table)
        card = root / "docs" / "README.md"
        old = card.read_text(encoding="utf-8") if card.is_file() else ""
        text = reports.card(
            old,
            table,
            source=source.name,
            method=request.method,
            command=request.command(source.name),
            data=f"'{request.data.name}'" if len(request.data) else "none was needed",
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
    if description.task not in TASKS:
        raise InputError(
            f"The model '{description.name}' cannot be compressed.",
            f"There is no measure of how good a model for its task ({description.task}) is.",
            f"Choose a model for one of: {', '.join(TASKS)}.",
        )
    if not len(request.data) and description.task != "synthesize":
        raise InputError(
            f"There are no images to {request.method} the model with.",
            "It must be seen what the network does with images like those it is for, and what it loses.",
            "Name data (--data): a folder of images, best with the references that the model was judged by.",
        )
    if has_int8(description.root):
        raise InputError(
            f"The model '{description.name}' cannot be compressed.",
            "It is quantised already.",
            "Compress the model that it was made of.",
        )
    if request.method == "quantize":
        from medai.training.compression.quantize import check_installed

        check_installed()


def _work(description: Description, request: CompressionRequest, loaded: LoadedModels) -> Work:
    """The original at its work."""
    seed = request.parameters.seed
    if description.task == "forecast":
        from medai.tasks.forecast.model import ForecastModel
        from medai.training.compression.of_visits import OfVisits

        return OfVisits(description, ForecastModel(description.root, "cpu"), request.data, seed)
    if description.task == "synthesize":
        from medai.training.compression.of_codes import OfCodes

        return OfCodes(description, loaded.get(description.root, "cpu"), request.data)
    from medai.training.compression.of_images import OfImages

    return OfImages(description, loaded.get(description.root, "cpu"), request.data, seed)


def _per_cent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def _tell_unfelt(before: Cost, after: Cost, in_openvino: float, life: Life) -> None:
    """Say what a person would expect of a smaller model, and this one does not give."""
    fair = math.isfinite(in_openvino)  # 8 bits are computed there, too
    against, named = (in_openvino, "the original in OpenVINO") if fair else (before.seconds, "the original")
    if after.seconds >= against:
        life.tell(
            f"It is no faster than {named} on this computer's CPU: {1000 * after.seconds:,.0f} ms, "
            f"{1000 * against:,.0f} ms before."
        )
    if after.bundle >= before.bundle:
        life.tell("It is no smaller on the disk.")


def _decide(request: CompressionRequest, judged: Sequence[Judged], life: Life) -> bool:
    """Whether the new model takes the place of the old one, which it does when no score falls by too much; says why."""
    if not judged:
        life.tell("How good the new model is was not measured: no case of the data has a reference.")
        if request.replace:
            life.tell("The original was not replaced, since nothing shows that the new model is as good.")
        return False
    worst = max(judged, key=lambda one: one.fall)
    said = f"{worst.named} {worst.before.value:.4g} before, {worst.after.value:.4g} after"
    if worst.fall <= request.tolerance:
        life.tell(f"As good as before within {100 * request.tolerance:g} %: {said}.")
        return request.replace
    way = "more" if worst.lower else "less"
    tolerated = f"{100 * request.tolerance:g} % would be tolerated"
    life.tell(f"Worse than before: {said}, which is {_per_cent(worst.fall)} {way}; {tolerated}.")
    if request.replace:
        life.tell("The original was not replaced. Train the new one longer, compress less, or tolerate more.")
    return False
