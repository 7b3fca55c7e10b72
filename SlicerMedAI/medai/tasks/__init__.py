"""What a network can be asked to do: one module per task, each with its parameters and its ``run``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from medai.errors import InputError, OutOfMemoryError
from medai.jobs.failures import advised

if TYPE_CHECKING:
    from medai.engine.loaded import LoadedModels
    from medai.jobs.job import Job
    from medai.progress import Report
    from medai.result import Result

IMAGE_TASKS = ("segment", "classify", "detect", "explain", "denoise", "encode", "translate")
"""What is asked of images; each has a folder here with ``Parameters``, ``check_choice`` and ``run.run``."""
_HOMES = {
    "forecast": "medai.tasks.forecast.run",
    "prepare": "medai.tasks.prepare",
    "change": "medai.tasks.change.run",
    "synthesize": "medai.tasks.synthesize.run",
} | dict.fromkeys(("train", "evaluate", "compress", "export"), "medai.training.task")
TASKS = (*IMAGE_TASKS, *_HOMES)


def run(job: Job, report: Report, loaded: LoadedModels) -> Result:
    """Do what `job` asks for.

    Parameters
    ----------
    job : Job
        Its ``task`` is one of `TASKS`.
    report : callable
        Hears of progress; may raise `medai.errors.JobCancelled` at every call.
    loaded : LoadedModels
        The models in memory, kept by the caller from job to job.

    Raises
    ------
    MedAIError
        Always one of its children, whatever went wrong.
    """
    if job.task not in TASKS:
        raise InputError(f"'{job.task}' is not a task.", f"Known are: {', '.join(TASKS)}.", "Choose one of them.")
    home = f"medai.tasks.{job.task}.run" if job.task in IMAGE_TASKS else _HOMES[job.task]
    try:
        result: Result = import_module(home).run(job, report, loaded)
    except OutOfMemoryError as error:
        raise advised(error, job.task) from error
    return result
