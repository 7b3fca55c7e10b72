"""Train and evaluate models, from Slicer's Python console, a notebook or a script."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medai.api.running import OnProgress, run
from medai.errors import InputError
from medai.jobs.job import Job
from medai.result import Result

if TYPE_CHECKING:
    from medai.jobs.worker import Worker
    from medai.training.data import DataList
    from medai.training.parameters import TrainingParameters

Data = Any
"""A `medai.training.data.DataList`, or the path of anything that `medai.training.data.read_data_list` reads."""


def train(
    data: str | os.PathLike[str] | DataList,
    task: str,
    output: str | os.PathLike[str],
    *,
    parameters: TrainingParameters | Mapping[str, object] | str | os.PathLike[str] | None = None,
    worker: Worker | None = None,
    on_progress: OnProgress | None = None,
    in_process: bool = False,
    **choices: Any,
) -> Result:
    """Train a model; waits until it is done.

    Parameters
    ----------
    data : path or DataList
        Cases with their references. Undivided data are divided by patient.
    task : str
        ``"segment"``, ``"classify"`` or ``"denoise"``.
    output : path
        Folder of the bundle to make. An unfinished training there goes on when everything else is the same.
    parameters : TrainingParameters, mapping, or path of a YAML file, optional
        See `medai.training.parameters.TrainingParameters`.
    worker, on_progress, in_process
        As for `medai.segment`. Whatever stops the training, the best weights until then are in `output`, and the same
        call goes on from the last epoch.
    **choices
        Of `medai.training.request.TrainingRequest`: ``validation`` (share), ``skip_bad``, ``overwrite``, ``finish``,
        ``device``, ``modality``, ``licence``, ``data_licence``.

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
    return run(job, worker, on_progress, in_process=in_process)


def prepare_training(
    data: str | os.PathLike[str] | DataList,
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
    from medai.training.parameters import TrainingParameters
    from medai.training.request import TrainingRequest

    if parameters is None or isinstance(parameters, Mapping):
        chosen = TrainingParameters.of(parameters or {})
    elif isinstance(parameters, (str, os.PathLike)):
        chosen = TrainingParameters.read(Path(parameters))
    else:
        chosen = parameters
    given = {"data": _listed(data), "task": task, "parameters": chosen, **choices}
    TrainingRequest.of(given)
    return Job("train", Path(output).expanduser().absolute(), (), given)


def evaluate(
    model: str | Path,
    data: str | os.PathLike[str] | DataList,
    output: str | os.PathLike[str],
    *,
    split: str = "",
    device: str = "auto",
    worker: Worker | None = None,
    on_progress: OnProgress | None = None,
    in_process: bool = False,
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
        ``"training"``, ``"validation"`` or ``"test"``; ``""`` for all cases.
    device, worker, on_progress, in_process
        As for `medai.segment`.

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
    from medai.training.data.item import SPLITS
    from medai.training.request import EvaluationRequest

    listed = _listed(data)
    if split and not len(listed.part(split)):
        known = ", ".join(f"{part} ({len(listed.part(part))})" for part in SPLITS if len(listed.part(part)))
        raise InputError(
            f"There is no case for '{split}' in the data.",
            f"They have: {known}." if known else "They are not divided.",
            "Choose another part, or leave it out for all cases.",
        )
    given = {"data": listed, "split": split, "folder": Path(output).expanduser().absolute(), "device": device}
    EvaluationRequest.of(given)
    return run(Job("evaluate", library.find(model), (), given), worker, on_progress, in_process=in_process)


def _listed(data: str | os.PathLike[str] | DataList) -> DataList:
    from medai.training.data import DataList, read_data_list

    return data if isinstance(data, DataList) else read_data_list(Path(data).expanduser())
