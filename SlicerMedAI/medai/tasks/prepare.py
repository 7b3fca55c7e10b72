"""Find out now, instead of beside a later job, in which form a model computes fastest on this computer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from medai.engine.backend_names import AUTO, REQUESTS
from medai.engine.devices import choose_device
from medai.jobs.job import Job
from medai.progress import Report
from medai.result import Result, Table
from medai.tasks.choice import usable
from medai.tasks.life import Life
from medai.tasks.parameters import TaskParameters, one_of

if TYPE_CHECKING:
    from medai.engine.backends import Ready
    from medai.engine.loaded import LoadedModels

_LONGEST_S = 3600.0


@dataclass(frozen=True, eq=False)
class PrepareParameters(TaskParameters):
    """What a person may choose.

    Parameters
    ----------
    backend : str
        ``"auto"`` to try whatever is installed; ``"openvino"`` or ``"onnxruntime"`` to try this one and use it when it
        is asked for by name.

    Raises
    ------
    InputError
        When a value cannot be used.
    """

    backend: str = AUTO

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("backend", self.backend, REQUESTS)

    def as_text(self) -> dict[str, str]:
        """What was chosen, by name."""
        return {**super().as_text(), "backend": self.backend}


def run(job: Job, report: Report, loaded: LoadedModels) -> Result:
    """Convert the job's model, measure, and keep what was found for every later job.

    Parameters
    ----------
    job : Job
        Without inputs; parameters as in `PrepareParameters`.
    report : callable
        Hears several times a second that it goes on; may raise to cancel.
    loaded : LoadedModels
        Its backends convert.

    Returns
    -------
    Result
        A `Table` "forms" of what was measured; what will be used, and why, is the last note of its provenance.

    Raises
    ------
    MedAIError
        When the model, or the backend asked for, cannot be used.
    """
    import torch

    parameters = PrepareParameters.of(job.parameters)
    description = usable(job.bundle)
    life = Life(job, report, "Measuring")
    device = choose_device(parameters.device)
    life.mention(device.reason)
    life.at("Loading model")
    pipeline = loaded.get(description.root, device.name)
    life.at("Converting and measuring")
    # Of the image only the number of channels and of axes counts.
    image = torch.empty(1, description.channels or 1, *[1] * (2 if pipeline.planar else 3), device="meta")
    ready = loaded.fastest(pipeline, parameters.backend).ready(
        image, lambda: life.at("Converting and measuring"), longest_wait_s=_LONGEST_S
    )
    life.mention(ready.reason)
    return Result((_table(ready),), life.provenance([description], parameters, device))


def _table(ready: Ready) -> Table:
    from medai.engine.backends import kinds

    forms = [("torch", 1.0, 1.0), *((one.backend, one.ratio, one.agreement) for one in ready.measured)]
    columns: dict[str, tuple[object, ...]] = {
        "Form": tuple(kinds.title(name) for name, _, _ in forms),
        "Times faster than PyTorch": tuple(round(ratio, 2) for _, ratio, _ in forms),
        "Agreement (%)": tuple(round(100 * agreement, 4) for _, _, agreement in forms),
        "Used": tuple(name == ready.name for name, _, _ in forms),
    }
    return Table(columns, "forms")
