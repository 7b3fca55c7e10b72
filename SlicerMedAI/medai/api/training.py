"""Train and evaluate models, from Slicer's Python console, a notebook or a script."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medai.api.running import OnProgress, run
from medai.errors import InputError
from medai.jobs.job import Job
from medai.progress import Progress
from medai.result import Result

if TYPE_CHECKING:
    from slicer import vtkMRMLScene

    from medai.jobs.worker import Worker
    from medai.mrml import LivePlot
    from medai.training.data import DataList
    from medai.training.parameters import TrainingParameters

Data = Any
"""A `medai.training.data.DataList`, the path of anything that `medai.training.data.read_data_list` reads, or several of
them to be learned from together."""


def train(
    data: Data,
    task: str,
    output: str | os.PathLike[str],
    *,
    parameters: TrainingParameters | Mapping[str, object] | str | os.PathLike[str] | None = None,
    worker: Worker | None = None,
    on_progress: OnProgress | None = None,
    in_process: bool = False,
    scene: vtkMRMLScene | None = None,
    **choices: Any,
) -> Result:
    """Train a model; waits until it is done.

    Parameters
    ----------
    data : path, DataList, or sequence of them
        Cases with their references. Undivided data are divided by patient.
    task : str
        ``"segment"``, ``"classify"``, ``"detect"``, ``"denoise"``, ``"encode"``, ``"synthesize"``, ``"translate"`` or
        ``"forecast"``.
    output : path
        Folder of the bundle to make. An unfinished training there goes on when everything else is the same.
    parameters : TrainingParameters, mapping, or path of a YAML file, optional
        See `medai.training.parameters.TrainingParameters`.
    worker, on_progress, in_process
        As for `medai.segment`. Whatever stops the training, the best weights until then are in `output`, and the same
        call goes on from the last epoch.
    scene : vtkMRMLScene, optional
        Where loss and scores are drawn, epoch by epoch, as a plot chart with its table; at the end it also gets the
        table of the scores.
    **choices
        Of `medai.training.request.TrainingRequest`: ``validation`` (share), ``skip_bad``, ``overwrite``, ``finish``,
        ``device``, ``positive`` (name of the class that is the finding), ``sensitivity`` (of the operating point),
        ``modality``, ``licence``, ``data_licence``, ``synthetic`` (``["MODEL:COUNT:CLASS"]``: images of generators to
        train with besides).

    Returns
    -------
    Result
        A table and a plot of the training, and a table of the model's scores on the validation cases.

    Raises
    ------
    InputError
        When the data or a choice cannot be used.
    MedAIError
        Whatever else ended it.

    Examples
    --------
    >>> medai.train("Task04_Hippocampus", "segment", "models/mine", parameters={"epochs": 80})  # doctest: +SKIP
    >>> medai.segment("head.nii.gz", "models/mine")                                            # doctest: +SKIP
    """
    job = prepare_training(data, task, output, parameters=parameters, **choices)
    if scene is None:
        return run(job, worker, on_progress, in_process=in_process)
    from medai import mrml

    mrml.check_scene(scene, [])
    live = mrml.LivePlot(scene, job.bundle.name)
    result = run(job, worker, _drawing(live, job.bundle, on_progress), in_process=in_process)
    live.remove()
    mrml.add_result(result, (), scene=scene)
    return result


def _drawing(live: LivePlot, bundle: Path, on_progress: OnProgress | None) -> OnProgress:
    """A listener that draws a training's history whenever it has grown."""
    from medai.training import folder
    from medai.training.chart import curves

    drawn = 0

    def listen(progress: Progress) -> None:
        nonlocal drawn
        rows = folder.history(bundle)
        if len(rows) > drawn:
            drawn = len(rows)
            live.show(curves(rows)[1])
        if on_progress is not None:
            on_progress(progress)

    return listen


def prepare_training(
    data: Data,
    task: str,
    output: str | os.PathLike[str],
    *,
    parameters: TrainingParameters | Mapping[str, object] | str | os.PathLike[str] | None = None,
    **choices: Any,
) -> Job:
    """The job that `train` would run, for callers who submit it themselves and do not wait.

    Raises
    ------
    InputError
        When the data or a choice cannot be used, before anything slow happens.
    """
    from medai.bundles import library
    from medai.tasks.parameters import wrong
    from medai.training.parameters import TrainingParameters
    from medai.training.request import TrainingRequest
    from medai.training.synthetic import Synthesis

    if parameters is None or isinstance(parameters, Mapping):
        chosen = TrainingParameters.of(parameters or {})
    elif isinstance(parameters, (str, os.PathLike)):
        chosen = TrainingParameters.read(Path(parameters))
    elif isinstance(parameters, TrainingParameters):
        chosen = parameters
    else:
        raise wrong("parameters", parameters, "They are TrainingParameters, names with values, or a YAML file")
    models: dict[str, Any] = {
        name: library.located(getattr(chosen, name)) for name in ("denoiser", "start_from", "measured_by")
    }
    chosen = replace(chosen, **models)
    given = {"data": listed(data), "task": task, "parameters": chosen, **choices}
    checked = TrainingRequest.of(given)
    if checked.synthetic:
        given["synthetic"] = tuple(
            str(replace(some, bundle=library.located(some.bundle))) for some in map(Synthesis.of, checked.synthetic)
        )
    return Job("train", Path(output).expanduser().absolute(), (), given)


def evaluate(
    model: str | Path,
    data: Data,
    output: str | os.PathLike[str],
    *,
    split: str = "",
    device: str = "auto",
    worker: Worker | None = None,
    on_progress: OnProgress | None = None,
    in_process: bool = False,
    **choices: Any,
) -> Result:
    """Measure how good a model is on cases with references.

    Parameters
    ----------
    model : str or Path
        Name of a model, or folder of a bundle.
    data : path or DataList
        As for `train`.
    output : path
        Folder that gets ``cases.csv``, ``summary.json`` and ``report.html``.
    split : str
        ``"training"``, ``"validation"`` or ``"test"``; ``""`` for all cases. For a model that makes images, what it did
        not learn from; it is compared with the part for training as well.
    device, worker, on_progress, in_process
        As for `medai.segment`.
    **choices
        For models that make images, of `medai.training.request.EvaluationRequest`: ``count``, ``seed``,
        ``utility`` (whether to train on its images, and judge by real ones what came out), ``utility_epochs``,
        ``utility_cases``.

    Returns
    -------
    Result
        A table of the scores with their 95 % intervals, and a table of the cases.

    Raises
    ------
    MedAIError
        When the model or the data cannot be used.

    Examples
    --------
    >>> medai.evaluate("models/mine", "Task04_Hippocampus", "report", split="validation")  # doctest: +SKIP
    """
    from medai.bundles import library
    from medai.training import folder
    from medai.training.data.item import SPLITS
    from medai.training.request import EvaluationRequest

    cases = listed(data)
    root = library.find(model)
    if split and not len(cases.part(split)):
        known = ", ".join(f"{part} ({len(cases.part(part))})" for part in SPLITS if len(cases.part(part)))
        divided = root / folder.DATALIST
        raise InputError(
            f"There is no case for '{split}' in the data.",
            f"They have: {known}." if known else "They are not divided.",
            "Choose another part, or leave it out for all cases."
            + (f" How they were divided for the training is in '{divided}'." if divided.is_file() else ""),
        )
    given = {"data": cases, "split": split, "folder": Path(output).expanduser().absolute(), "device": device}
    given |= choices
    EvaluationRequest.of(given)
    return run(Job("evaluate", root, (), given), worker, on_progress, in_process=in_process)


def listed(data: Data) -> DataList:
    """One data list of whatever was named, with absolute paths: the worker runs in a folder of its own."""
    from medai.training.data import DataList, read_data_list, together

    if isinstance(data, DataList):
        return data.absolute()
    if isinstance(data, (str, os.PathLike)):
        return read_data_list(Path(data).expanduser()).absolute()
    if not isinstance(data, Sequence) or not data:
        raise InputError(
            f"'{type(data).__name__}' is nothing to learn from or to be judged by.",
            "A path, a data list, or several of them are needed.",
            "Save the nodes of a scene as cases first: training_pairs of medai.mrml.training_items finds them, and "
            "data_list_from_pairs of medai.training.data.scene lists them.",
        )
    return together([listed(each) for each in data])
