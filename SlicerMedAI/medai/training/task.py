"""Training, evaluation, compression and export as jobs: one worker, progress, cancel and errors for everything."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from medai.jobs.job import Job
from medai.progress import Report
from medai.result import Result

if TYPE_CHECKING:
    from medai.engine.loaded import LoadedModels

_HOMES = {
    "train": ("medai.training.run", "train"),
    "evaluate": ("medai.training.judge", "evaluate_job"),
    "compress": ("medai.training.compression.run", "compress"),
    "export": ("medai.training.compression.exporting", "export"),
}
"""Module and function by task; each brings other libraries, so it is imported only when asked for."""
TASKS = tuple(_HOMES)


def run(job: Job, report: Report, loaded: LoadedModels) -> Result:
    """Do what `job` asks for; see the functions in `_HOMES`."""
    module, function = _HOMES[job.task]
    result: Result = getattr(import_module(module), function)(job, report, loaded)
    return result
