"""Jobs: what is asked for, and the warm process that does it.

Names are looked up lazily: the worker process imports this package before it knows whether numpy can be imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medai.jobs.job import Job
    from medai.jobs.running import Running
    from medai.jobs.worker import Worker, default_worker

__all__ = ["Job", "Running", "Worker", "default_worker"]

_HOMES = {
    "Job": "medai.jobs.job",
    "Running": "medai.jobs.running",
    "Worker": "medai.jobs.worker",
    "default_worker": "medai.jobs.worker",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
