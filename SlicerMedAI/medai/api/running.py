"""Where a job runs: in the worker process, or here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from medai.jobs.job import Job
from medai.progress import Progress, ignore
from medai.result import Result

if TYPE_CHECKING:
    from medai.jobs.worker import Worker

OnProgress = Callable[[Progress], None]


def run(job: Job, worker: Worker | None, on_progress: OnProgress | None, *, in_process: bool) -> Result:
    """Run a job and wait for its result.

    Parameters
    ----------
    job : Job
    worker : Worker or None
        Where to run; by default the one that everything in this process shares.
    on_progress : callable or None
        Called with every `Progress` in this thread. Raising in it cancels the job.
    in_process : bool
        Run here instead, see `run_here`.

    Raises
    ------
    MedAIError
        Always one of its children.
    """
    if in_process:
        return run_here(job, on_progress)
    if worker is None:
        from medai.jobs.worker import default_worker

        worker = default_worker()
    return worker.submit(job).wait(on_progress)


def run_here(job: Job, on_progress: OnProgress | None = None) -> Result:
    """Run a job in this process, with the models that earlier calls have loaded. Imports torch.

    Raises
    ------
    MedAIError
        Always one of its children, as from a worker.
    """
    from medai import tasks
    from medai.engine.loaded import LoadedModels

    if "here" not in _loaded:
        _loaded["here"] = LoadedModels(backends=True)
    return tasks.run(job, on_progress or ignore, _loaded["here"])


def of_many(on_progress: OnProgress | None, number: int, count: int) -> OnProgress | None:
    """A listener to job `number` of `count`, that tells another one how much of all jobs is done."""
    if on_progress is None:
        return None

    furthest = 0.0

    def tell(progress: Progress) -> None:
        nonlocal furthest
        furthest = max(furthest, min(progress.done / progress.total, 1.0) if progress.total else 0.0)
        on_progress(replace(progress, done=number + furthest, total=count, eta_s=None))

    return tell


_loaded: dict[str, Any] = {}
