"""Train a model: check and divide the data, write the bundle's configurations, run them, and judge what came out."""

from __future__ import annotations

import gc
import logging
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from medai.bundles.description import describe
from medai.engine.devices import Device, choose_device
from medai.engine.memory import is_out_of_memory
from medai.errors import InputError, JobError, MedAIError, OutOfMemoryError
from medai.jobs.job import Job
from medai.progress import Report
from medai.result import Result
from medai.tasks.life import Life
from medai.training import folder
from medai.training.calibrating import calibrate, positive_class
from medai.training.calibrating_forecasts import calibrate_forecasts
from medai.training.card import model_card
from medai.training.chart import curves
from medai.training.data import DataList, DataReport, check, fitting, split, without_bad_items
from medai.training.data.item import TRAINING, VALIDATION
from medai.training.data.report import with_digests
from medai.training.evaluation import Evaluation
from medai.training.ingredients import check_sources, give
from medai.training.judge import judge, scores
from medai.training.operating_boxes import choose_points
from medai.training.recipe import ForecastPlan, Plan, bundle_configs, forecast_plan, plan
from medai.training.request import TrainingRequest
from medai.training.sheet import write_sheet
from medai.training.synthesis_card import synthesis_card
from medai.training.synthetic import Synthesis, synthesize, with_synthetic
from medai.training.watch import STAGE, Watch

if TYPE_CHECKING:
    from medai.engine.loaded import LoadedModels


def train(job: Job, report: Report, loaded: LoadedModels) -> Result:
    """Train a model; a training that was interrupted goes on when it is asked for again.

    Parameters
    ----------
    job : Job
        Its ``bundle`` is the folder to make, its parameters those of a `TrainingRequest`.
    report : callable
        Hears of progress; may raise `medai.errors.JobCancelled`. What was best until then is in the folder.
    loaded : LoadedModels
        Runs the trained model on the validation cases.

    Returns
    -------
    Result
        A table and a chart of the training, and a table of the model's scores.

    Raises
    ------
    MedAIError
        With what happened, why, and what to do.
    """
    _check_alone(Path(job.bundle))
    with folder.alone(Path(job.bundle)):
        return _train(job, report, loaded)


def _check_alone(root: Path) -> None:
    """Refuse to be started by ``torchrun``: each process would check, divide and judge, and wait for the others."""
    from medai.training.components import distributed

    if distributed.world() > 1:
        raise InputError(
            "This training cannot be started in several processes at once.",
            "Only its configuration can, once a training has begun and written it.",
            f"Begin with one process and stop it; then 'torchrun --nproc_per_node {distributed.world()} "
            f"-m monai.bundle run --config_file {root}/configs/train.json --bundle_root {root}', "
            "and the first command with --finish.",
        )


def _train(job: Job, report: Report, loaded: LoadedModels) -> Result:
    request = TrainingRequest.of(job.parameters)
    life = Life(job, report, STAGE)
    root = Path(job.bundle)
    data, checked = _divided(request, report)
    synthetic = [Synthesis.of(text) for text in request.synthetic]
    data = with_synthetic(data, synthetic, root, checked, request.task)
    device = _device(request.device)
    life.mention(device.reason)
    about = {"name": root.name, "modality": request.modality}
    if request.task == "forecast":
        chosen: Plan = forecast_plan(data, checked, request.parameters, **about)
    else:
        chosen = plan(data, checked, request.task, request.parameters, **about)
    positive = positive_class(chosen, request.positive)
    configs = bundle_configs(chosen, data_source=data.name, licence=request.licence)
    check_sources(root, chosen.parameters, overwrite=request.overwrite)
    with folder.prepared(root, configs, data, overwrite=request.overwrite, finish=request.finish) as goes_on:
        request.parameters.write(root / folder.PARAMETERS)
        if goes_on:
            life.tell("An unfinished training was found in the folder and goes on.")
        if not request.finish:
            synthesize(data, synthetic, checked, seed=chosen.parameters.seed, device=device.name, report=report)
            for note in give(root, chosen, data):
                life.tell(note)
    if not request.finish:
        _run(root, device.name, report, pictures=request.task != "forecast")
    elif not (root / folder.WEIGHTS).is_file():
        raise InputError(
            "There is nothing to finish yet.",
            f"The training in '{root}' has not been through its first validation.",
            "Let it go on: give the same command without --finish.",
        )
    rows = folder.history(root)
    calibration, calibrated = None, None
    if chosen.task == "classify":
        calibration = calibrate(
            root,
            data.part(VALIDATION),
            chosen,
            report,
            loaded,
            device=device.name,
            positive=positive,
            sensitivity=request.sensitivity,
        )
    if isinstance(chosen, ForecastPlan):
        calibrated = calibrate_forecasts(root, data.part(VALIDATION), chosen.targets, report, device=device.name)
    life.at("Judging the model")
    found = _judged(root, data, report, loaded, device)
    if chosen.task == "detect":
        choose_points(root, found, tuple(chosen.classes.values()), chosen.parameters.threshold)
    summary = None if found is None else found.summary
    if chosen.synthesizes:
        card = synthesis_card(chosen, data, rows, summary, describe(root))
    else:
        card = model_card(chosen, data, rows, summary, describe(root), calibration=calibration, calibrated=calibrated)
    folder.complete(root, card=card, licence=request.licence, data_licence=request.data_licence)
    table, plot = curves(rows)
    judged = () if found is None else (scores(found),)
    return Result((table, plot, *judged), life.provenance([describe(root)], request, device))


def _divided(request: TrainingRequest, report: Report) -> tuple[DataList, DataReport]:
    given = fitting(request.data, request.task, report)
    found = check(given, report=report, unknown=request.parameters.ignore_label)
    if found.bad and not request.skip_bad:
        first = next(problem for problem in found.problems if problem.blocking)
        raise InputError(
            f"{len(found.bad)} of {len(given)} cases should not be trained with.",
            f"The first is '{first.name}': {first.message}",
            "Correct the data, or ask to go on without these cases (--skip-bad).",
            details=str(found),
        )
    data = without_bad_items(with_digests(given, found), found)
    if not data.is_split or not len(data.part(VALIDATION)):
        data = split(data, validation=request.validation, seed=request.parameters.seed)
    if not len(data.part(TRAINING)):
        raise InputError("There is nothing to train on.", "No case of the data is for training.", "Choose other data.")
    return data, found


def _device(requested: str) -> Device:
    device = choose_device(requested)
    if device.name == "mps" and requested == "auto":
        return Device("cpu", "CPU: Apple's GPU lacks what a training needs")
    return device


def _run(root: Path, device: str, report: Report, *, pictures: bool) -> None:
    """What ``python -m monai.bundle run --config_file configs/train.json`` does, watched."""
    from monai.bundle import ConfigParser
    from monai.utils import set_determinism

    from medai.training.components import distributed

    parser = ConfigParser()
    parser.read_config(str(root / "configs" / "train.json"))
    parser["bundle_root"] = str(root)
    parser["device_name"] = device
    part = parser.get_parsed_content
    try:
        with quiet():
            part("initialize")
            if pictures and find_spec("matplotlib") is not None:
                write_sheet(root, part("train#dataset"))
            Watch(report, part("train#trainer"), part("validate#evaluator"), part("history"))
            part("run")
    except Exception as error:
        raise explained(error) from error
    finally:
        set_determinism(None)
        distributed.end()
        del parser, part
        gc.collect()


def explained(error: BaseException) -> MedAIError:
    """What a person asked for or can mend, under what MONAI made of it on its way up."""
    chain = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None and inner not in chain:
        chain.append(inner)
    known = next((each for each in chain if isinstance(each, MedAIError)), None)
    if known is not None:
        return known
    details = "".join(traceback.format_exception(error))
    if is_out_of_memory(error):
        return OutOfMemoryError(
            "The computer ran out of memory during the training.",
            "The network, with as many cases of this size at once, needs more than is free.",
            "Choose a smaller patch_size, batch_size or width; the training then begins anew.",
            details=details,
        )
    said = str(chain[-1]).strip().splitlines() or [type(chain[-1]).__name__]
    return JobError(
        "The training stopped.",
        f"It says: {said[0][:300].rstrip('.')}.",
        "Check the data and the parameters; if they are as they should be, report this with the log.",
        details=details,
    )


def _judged(root: Path, data: DataList, report: Report, loaded: LoadedModels, device: Device) -> Evaluation | None:
    held_out = data.part(VALIDATION)
    if not len(held_out):
        return None
    # What a generator makes is compared with what it has learned from, too.
    cases = data if describe(root).task == "synthesize" else held_out
    return judge(root, cases, report, loaded, device=device.name, split="validation", backend="torch")


@contextmanager
def quiet() -> Iterator[None]:
    """Engines log every step; here a person is told in other ways."""
    logger = logging.getLogger("ignite")
    before = logger.level
    logger.setLevel(logging.CRITICAL)  # what goes wrong is raised, and told in a person's words
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
