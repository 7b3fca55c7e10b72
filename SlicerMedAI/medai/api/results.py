"""Where a call's result goes: into the scene of its input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medai.jobs.job import Job
from medai.result import Result
from medai.volume import Series

if TYPE_CHECKING:
    from medai.mrml import ResultNodes


def into_scene(result: Result, job: Job, nodes: list[Any], **options: Any) -> ResultNodes:
    """Add a result to the scene of its input.

    Parameters
    ----------
    result, job
        What came of what.
    nodes : list of nodes
        The job's input.
    **options
        Of `medai.mrml.add_result`.

    Raises
    ------
    SceneError
        When the scene cannot take it; nothing is added then.
    """
    from medai import mrml

    seen = job.inputs.frames[:1] if isinstance(job.inputs, Series) else job.inputs[:1]
    return mrml.add_result(result, nodes, inputs=seen, **options)
