"""One task over many inputs: one model stays loaded for all; when one input fails, the others go on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medai.cli.outcome import ExitCode, as_record, common_code, errors, exit_code, explained, output, show
from medai.cli.progress import Listener
from medai.cli.targets import Task
from medai.errors import BundleError, JobCancelled, MedAIError, UnfitImageError
from medai.files.folders import make_folder
from medai.result import Result

if TYPE_CHECKING:
    from medai.volume import Series, Volume


@dataclass(frozen=True)
class Batch:
    """What is the same for all inputs.

    Parameters
    ----------
    task : str
        One of `medai.tasks.IMAGE_TASKS`.
    models : tuple of str
        Names or folders; several vote.
    parameters : dict
        Of the task.
    record : callable
        What a program wants to know of a result: values by name, as JSON can hold them.
    lines : callable
        What a person reads of one result, or of one frame of it.
    series : str or None
        Of a DICOM folder.
    as_json, quiet, overwrite, debug : bool
        As the options of these names.
    companions : tuple of str
        What further volumes come with a result, each in a file of its own.
    keep : callable, optional
        What becomes of a result in place of a file of its own; gives the files that were written.
    """

    task: str
    models: tuple[str, ...]
    parameters: dict[str, Any]
    record: Callable[[Result], dict[str, object]]
    lines: Callable[[Result], Sequence[str]]
    series: str | None = None
    as_json: bool = False
    quiet: bool = False
    overwrite: bool = True
    debug: bool = False
    companions: tuple[str, ...] = ()
    keep: Callable[[Result, Task], tuple[Path, ...]] | None = None

    def run(self, tasks: list[Task]) -> ExitCode:
        """All tasks, one after the other; the exit code that they have in common."""
        from medai.bundles import library
        from medai.jobs.worker import default_worker

        for model in self.models:
            library.find(model)  # a wrong name is told before anything is read
        for folder in {task.target.parent for task in tasks}:
            make_folder(folder)
        default_worker().start()  # it imports torch while the first image is being read
        codes: list[ExitCode] = []
        provenance = ""
        with Listener(errors(), quiet=self.quiet) as listener:
            for number, task in enumerate(tasks):
                record: dict[str, object] = {"input": [str(path) for path in task.inputs], "status": "ok"}
                began = time.monotonic()
                failure: MedAIError | None = None
                try:
                    if task.done and not self.overwrite:
                        record |= {"status": "kept", "output": [str(task.target)]}
                        listener.say(f"{task.name}: {task.target} exists already and is kept")
                    else:
                        result, files = self._one(task, listener)
                        provenance = str(result.provenance)
                        record |= {"output": [str(file) for file in files], **self._told(result)}
                        if not (self.as_json or self.quiet):
                            self._print(task, files, result, listener)
                except (KeyboardInterrupt, JobCancelled):
                    if self.as_json:
                        output().print(json.dumps({**record, "status": "cancelled"}))
                    raise
                except Exception as error:
                    failure = explained(error)
                    show(failure, errors(), about=task.name if len(tasks) > 1 else "", debug=self.debug)
                    record |= {"status": "failed", "error": as_record(failure)}
                codes.append(exit_code(failure) if failure else ExitCode.OK)
                if self.as_json:
                    output().print(json.dumps({**record, "duration_s": round(time.monotonic() - began, 3)}))
                stuck = isinstance(failure, BundleError) and not isinstance(failure, UnfitImageError)
                if stuck and number + 1 < len(tasks):
                    left = len(tasks) - number - 1
                    errors().print(f"The remaining {left} inputs need the same model and are left out.")
                    break
        self._summarize(tasks, codes, provenance)
        return common_code(codes)

    def _one(self, task: Task, listener: Listener) -> tuple[Result, tuple[Path, ...]]:
        from medai.api import prepare
        from medai.files import check_target, read, write
        from medai.jobs.worker import default_worker

        listener.begin(task.name)
        if self.keep is None:
            check_target(task.target, companions=self.companions, keep=task.inputs)
        images: list[Volume | Series] = [read(path, self.series) for path in task.inputs]
        job = prepare(images, self.models, task=self.task, **self.parameters)
        result = default_worker().submit(job).wait(listener)
        if self.keep is not None:
            return result, self.keep(result, task)
        return result, write(result, task.target, keep=task.inputs)

    def _told(self, result: Result) -> dict[str, object]:
        notes = list(result.provenance.notes)
        return {**self.record(result), "provenance": result.provenance.attributes(), "notes": notes}

    def _print(self, task: Task, files: tuple[Path, ...], result: Result, listener: Listener) -> None:
        console = output()
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        console.print(task.name + (f": {files[0]}{more}" if files else ""))
        for number, frame in enumerate(result.frames or (result,)):
            if result.frames:
                console.print(f"  frame {number}")
            for line in self.lines(frame):
                console.print(f"  {line}")
        for note in listener.unread(result.provenance.notes):
            console.print(f"  Note: {note}")

    def _summarize(self, tasks: list[Task], codes: list[ExitCode], provenance: str) -> None:
        failed = [task.name for task, code in zip(tasks, codes, strict=False) if code is not ExitCode.OK]
        left_out = len(tasks) - len(codes)
        if len(tasks) > 1 and (failed or left_out):
            errors().print(f"{len(codes) - len(failed)} of {len(tasks)} inputs done. Failed: {', '.join(failed)}.")
        if provenance and not (self.as_json or self.quiet):
            lines = [line for line in provenance.splitlines() if not line.startswith("Note: ")]
            output().print("\n".join(lines))
