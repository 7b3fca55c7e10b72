"""A job's life inside a task: where it stands, what was said aloud, and where its result came from."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path

from medai.bundles import integrity
from medai.bundles.description import Description
from medai.engine.devices import Device
from medai.engine.ladder import Choices, Ladder
from medai.engine.loaded import LoadedModels
from medai.jobs.job import Job
from medai.progress import Progress, Report
from medai.result import Provenance
from medai.tasks.parameters import TaskParameters
from medai.volume import SYNTHETIC, Series, Volume

# Before this much of the work is done, the first slow passes would promise several times the true time.
_LEAST_WORK_S = 1.0
_LEAST_DONE = 2


@dataclass(frozen=True)
class Part:
    """One of several equal parts of a job: a frame, a region, a slice, one model of several."""

    index: int = 0
    count: int = 1

    def of(self, index: int, count: int) -> Part:
        """Part `index` of `count` of this part."""
        return Part(self.index * count + index, self.count * count)


class Life:
    """One job under way.

    Parameters
    ----------
    job : Job
        What was asked for.
    report : callable
        Hears of every step; may raise to cancel.
    working : str
        The stage in which the network works ("Segmenting"): the time left is told from its progress.
    """

    def __init__(self, job: Job, report: Report, working: str) -> None:
        self.job = job
        self.working = working
        self.notes: list[str] = []
        self._report = report
        self._started = datetime.now(timezone.utc)
        self._clock = time.monotonic()
        self._working_since: float | None = None
        self._last = Progress("Preparing")

    @property
    def frames(self) -> list[tuple[Volume, ...]]:
        """The images of every frame of a series; of any other job, those of its only one."""
        inputs = self.job.inputs
        return [(frame,) for frame in inputs.frames] if isinstance(inputs, Series) else [tuple(inputs)]

    def tell(self, note: str, *, aside: bool = False) -> None:
        """Say something aloud: to the log now, and in the result's provenance. Once each.

        An `aside` is only about the means (which device, which backend); whoever wants no more than cautions skips it.
        """
        if note not in self.notes:
            self.notes.append(note)
            self._report(replace(self._last, elapsed_s=time.monotonic() - self._clock, note=note, aside=aside))

    def mention(self, note: str) -> None:
        """Tell an aside."""
        self.tell(note, aside=True)

    def ladder(
        self, root: Path, device: Device, loaded: LoadedModels, choices: Choices, stem: str = "inference"
    ) -> Ladder:
        """A model that steps down when memory runs out, and says so."""
        return Ladder(root, device, loaded, choices, self.tell, mention=self.mention, stem=stem)

    def at(self, stage: str, done: float = 0.0, total: float = 0.0) -> None:
        """Say where the job stands; a cancel point."""
        now = time.monotonic()
        eta = None
        if stage == self.working and total:
            self._working_since = now if self._working_since is None else self._working_since
            spent = now - self._working_since
            if done >= _LEAST_DONE and spent >= _LEAST_WORK_S:
                eta = spent * (total - done) / done
        self._last = Progress(stage, done, total, now - self._clock, eta)
        self._report(self._last)

    def at_window(self, part: Part, done: float, total: int) -> None:
        """Say that `done` of the `total` windows of one part are done; every part has about as many."""
        self.at(self.working, part.index * total + min(done, total), part.count * total)

    def provenance(self, models: Sequence[Description], parameters: TaskParameters, device: Device) -> Provenance:
        """Where the result came from, up to this moment; of several models each with its own terms."""
        inputs = self.job.inputs
        volumes: tuple[Volume | Series, ...] = (inputs,) if isinstance(inputs, Series) else tuple(inputs)
        made_up = any(SYNTHETIC in image.notes for images in self.frames for image in images)
        licences = [f"{model.name}: {model.licence}" if len(models) > 1 else model.licence for model in models]
        return Provenance(
            task=self.job.task,
            bundle=_joined(model.name for model in models),
            version=_joined(model.version for model in models),
            digest=_joined(integrity.digest(model.root) for model in models),
            parameters=parameters.as_text(),
            device=device.name,
            device_reason=device.reason,
            duration_s=time.monotonic() - self._clock,
            started=self._started.isoformat(timespec="seconds"),
            inputs=tuple(f"{volume.name} ({volume.id})" if volume.id else volume.name for volume in volumes),
            citation=_joined(dict.fromkeys(model.citation for model in models)),
            licence=_joined(licences),
            notes=tuple(self.notes),
            synthetic=made_up or self.job.task in ("synthesize", "translate"),
            software=", ".join(f"{name} {import_module(name).__version__}" for name in ("medai", "monai", "torch")),
        )


def _joined(texts: Iterable[str]) -> str:
    return "; ".join(text for text in texts if text)
