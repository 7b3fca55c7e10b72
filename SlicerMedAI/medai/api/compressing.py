"""Make a model smaller and faster, or take it to another program."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medai.api.running import OnProgress, run
from medai.jobs.job import Job
from medai.result import Result

if TYPE_CHECKING:
    from medai.jobs.worker import Worker
    from medai.training.data import DataList

_PATIENCE_S = 3.0


def compress_model(
    model: str | Path,
    method: str,
    data: Any = None,
    *,
    output: str | os.PathLike[str] | None = None,
    parameters: Mapping[str, object] | None = None,
    worker: Worker | None = None,
    on_progress: OnProgress | None = None,
    in_process: bool = False,
    **choices: Any,
) -> Result:
    """Make a smaller, faster model of a model, beside it; waits until it is done and judged.

    An autoencoder that a denoiser carries (``configs/encode.json``) stays as it is.

    Parameters
    ----------
    model : str or Path
        Name of a model, or folder of a bundle.
    method : str
        ``"quantize"`` (8-bit integers, computed by OpenVINO), ``"prune"`` (fewer channels), ``"distill"`` (a smaller
        student) or ``"decompose"`` (convolutions as products of thinner ones).
    data : path, DataList, or sequence of them
        As for `medai.train`: images to calibrate with or learn from, which need no references; cases with references
        that are not learned from judge both models. Of a forecaster, visits. A generator of images needs none; with
        the images it learned from, its distance from real ones is compared as well.
    output : path, optional
        Folder of the new bundle; beside the original by default (among the user's own models where the original came
        with medai), named after it and the method.
    parameters : mapping, optional
        Of the training of a pruned, distilled or decomposed network: ``epochs``, ``batch_size``, ``patches``,
        ``learning_rate``, ``weight_decay``, ``ema``, ``seed``.
    worker, on_progress, in_process
        As for `medai.segment`. Whatever stops it, the original is as it was.
    **choices
        Of `medai.training.compression.request.CompressionRequest`: ``ratio``, ``energy``, ``calibration``,
        ``tolerance``, ``replace``, ``overwrite``.

    Returns
    -------
    Result
        A table "comparison" of size, parameters, CPU time, peak memory and the task's metric, before and after; what
        was decided and where the new model is, in ``provenance.notes``.

    Raises
    ------
    InputError
        When the model, the data or a choice cannot be used.
    MedAIError
        Whatever else ended it.

    Examples
    --------
    >>> medai.compress_model("hippocampus_mr_unet", "quantize", "Task04_Hippocampus")  # doctest: +SKIP
    >>> medai.segment("head.nii.gz", "hippocampus_mr_unet_int8")                       # doctest: +SKIP
    """
    from medai.bundles import library
    from medai.training.compression.derived import check_place, place_of, tidy
    from medai.training.compression.request import SUFFIXES, CompressionRequest, usual
    from medai.training.parameters import TrainingParameters

    source = library.find(model)
    place = place_of(source, SUFFIXES.get(method, method)) if output is None else Path(output).expanduser().absolute()
    given = {
        "method": method,
        "data": _images(data),
        "output": place,
        "parameters": TrainingParameters.of({**usual(method), **(parameters or {})}),
        **choices,
    }
    request = CompressionRequest.of(given)
    check_place(source, place, overwrite=request.overwrite, replace=request.replace)
    try:
        return run(Job("compress", source, (), given), worker, on_progress, in_process=in_process)
    except BaseException:
        # A process that was ended cannot have tidied up behind itself.
        with contextlib.suppress(OSError):
            tidy(place.parent, 0.0 if in_process else _PATIENCE_S)
        raise


def export_model(
    model: str | Path,
    to: str,
    folder: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    worker: Worker | None = None,
    on_progress: OnProgress | None = None,
    in_process: bool = False,
) -> Result:
    """Write a model's network for other programs, run it, and compare what comes out.

    Parameters
    ----------
    model : str or Path
        Name of a model, or folder of a bundle.
    to : str
        ``"torchscript"``, ``"onnx"`` or ``"openvino"``.
    folder : path
        Gets the network, and ``export.json``: names and shapes of what it takes and gives, and what has to be done
        to an image before and after.
    overwrite : bool
        Replace files of the same names.
    worker, on_progress, in_process
        As for `medai.segment`.

    Returns
    -------
    Result
        A table "exported": the files, and how far the result on probes lies from PyTorch's.

    Raises
    ------
    InputError
        When the network cannot be exported in that form.
    MedAIError
        Whatever else ended it.
    """
    from medai.bundles import library
    from medai.training.compression.request import ExportRequest

    given = {"to": to, "folder": Path(folder).expanduser().absolute(), "overwrite": overwrite}
    ExportRequest.of(given)
    return run(Job("export", library.find(model), (), given), worker, on_progress, in_process=in_process)


def _images(data: Any) -> DataList:
    """A data list; of a folder that holds nothing but images, these."""
    from medai.api.training import listed
    from medai.errors import InputError
    from medai.training.data import DataList, read_data_list, together

    if data is None:
        return DataList(())
    if isinstance(data, (list, tuple)):
        return together([_images(each) for each in data])
    try:
        return listed(data)
    except InputError:
        if not isinstance(data, (str, os.PathLike)) or not Path(data).expanduser().is_dir():
            raise
        return read_data_list(Path(data).expanduser(), "pairs").absolute()
