"""Training and evaluation as jobs: the same worker, progress, cancel and errors as everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medai.jobs.job import Job
from medai.progress import Report
from medai.result import Result

if TYPE_CHECKING:
    from medai.engine.loaded import LoadedModels

TASKS = ("train", "evaluate")


def run(job: Job, report: Report, loaded: LoadedModels) -> Result:
    """Do what `job` asks for; see `medai.training.run.train` and `medai.training.judge.evaluate_job`."""
    if job.task == "train":
        from medai.training.run import train

        return train(job, report, loaded)
    from medai.training.judge import evaluate_job

    return evaluate_job(job, report, loaded)
