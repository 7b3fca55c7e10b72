"""Change the copy of a bundle by the method that was asked for."""

from __future__ import annotations

from pathlib import Path

from medai.progress import Report
from medai.tasks.life import Life
from medai.training.compression import networks
from medai.training.compression.quantize import quantize
from medai.training.compression.recover import recover
from medai.training.compression.request import CompressionRequest
from medai.training.compression.work import Work


def make(request: CompressionRequest, work: Work, root: Path, *, life: Life, report: Report) -> None:
    """Make the smaller network, and write it into the new bundle.

    Parameters
    ----------
    request : CompressionRequest
    work : Work
        The original.
    root : Path
        The copy, which is changed.
    life : Life
        Hears what a person should know.
    report : callable
        Hears of a training's progress.

    Raises
    ------
    MedAIError
        When the network does not permit it, or something else ended it.
    """

    def at(done: int, total: int) -> None:
        life.at(work.looking, done, total)

    if request.method == "quantize":
        calls = work.calls(request, at)
        life.at("Quantising")
        quantize(root, work.network, calls, life.tell, lambda: life.at("Quantising"), whole=work.whole)
        return
    lessons = work.lessons(request, at)
    life.at("Making the smaller network")
    content, student = networks.smaller(work.description.root, work.network, work.example(lessons), request)
    life.tell(lessons.told)
    if work.description.operating_points or work.description.task == "forecast":
        life.tell("What was fitted to the original's output (thresholds, temperature, spread) is kept as it was.")
    state = recover(student, lessons, chosen=request.parameters, report=report)
    networks.keep(root, content, state)
