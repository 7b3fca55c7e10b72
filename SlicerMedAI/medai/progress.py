"""How a job tells where it stands, and how it learns that it should stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """One report of a running job.

    Parameters
    ----------
    stage : str
        What is being done, in a person's words ("Segmenting").
    done, total : float
        Steps finished and to do in this stage; ``total`` 0 when unknown.
    elapsed_s : float
        Seconds since the job began.
    eta_s : float or None
        Estimated seconds to the end of the whole job, when it can be told.
    note : str
        A fallback or choice worth reading ("Running on the CPU: no NVIDIA GPU found"); goes to the log and Result.
    aside : bool
        Whether `note` tells only by what means the work is done, and nothing of what its result is worth.
    """

    stage: str
    done: float = 0.0
    total: float = 0.0
    elapsed_s: float = 0.0
    eta_s: float | None = None
    note: str = ""
    aside: bool = False

    @property
    def fraction(self) -> float | None:
        """Done over total, 0 to 1, or None when the stage has no known length."""
        return min(self.done / self.total, 1.0) if self.total > 0 else None


Report = Callable[[Progress], None]
"""Called by a task at every step. Raises `medai.errors.JobCancelled` when the person pressed Cancel, so every call of
it is a cancel point."""


def ignore(progress: Progress) -> None:
    """A `Report` for callers that do not listen."""
