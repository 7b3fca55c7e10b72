"""What a network can be asked to do: one module per task, each with its parameters and its ``run``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medai.errors import InputError

if TYPE_CHECKING:
    from medai.engine.loaded import LoadedModels
    from medai.jobs.job import Job
    from medai.progress import Report
    from medai.result import Result

TASKS = ("segment", "train", "evaluate")


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
    if job.task == "segment":
        from medai.tasks.segment.run import run as segment

        return segment(job, report, loaded)
    if job.task in ("train", "evaluate"):
        from medai.training.task import run as learn

        return learn(job, report, loaded)
    raise InputError(
        f"'{job.task}' is not a task.",
        f"Known are: {', '.join(TASKS)}.",
        "Choose one of them.",
    )
