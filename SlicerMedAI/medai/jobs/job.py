"""What a person asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from medai.volume import Series, Volume


@dataclass(frozen=True, eq=False)
class Job:
    """One task on one subject. Pure and picklable: the same Job gives the same Result wherever it runs.

    Parameters
    ----------
    task : str
        Name of a module in `medai.tasks` (``"segment"``).
    bundle : Path
        Folder of the MONAI bundle, absolute; `Path()` for a task that needs none.
    inputs : tuple of Volume, or Series
        One Volume per input image of the model (several for a multi-channel model), or one Series, whose frames are
        processed one after the other.
    parameters : mapping
        Keyword arguments of the task's parameter dataclass.
    """

    task: str
    bundle: Path
    inputs: tuple[Volume, ...] | Series
    parameters: Mapping[str, object] = field(default_factory=dict)
