"""Find out in which form a model computes fastest on this computer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from medai.api.running import OnProgress, run
from medai.jobs.job import Job
from medai.result import Result

if TYPE_CHECKING:
    from medai.jobs.worker import Worker


def prepare_model(
    model: str | Path,
    *,
    backend: str = "auto",
    device: str = "auto",
    worker: Worker | None = None,
    on_progress: OnProgress | None = None,
    in_process: bool = False,
) -> Result:
    """Convert a model and measure it now, so that the next job with it is as fast as this computer allows.

    Long jobs have this done beside them for later ones; a command line, which ends with its job, never would. What is
    found is kept for this user, this computer and these versions of the model and of the libraries.

    Parameters
    ----------
    model : str or Path
        Name of an installed model (see `models`) or path of a MONAI bundle's folder.
    backend : str
        ``"auto"`` to try whatever is installed, or ``"openvino"`` or ``"onnxruntime"``, for jobs that ask for it by
        name.
    device : str
        As for `medai.segment`.
    worker, on_progress, in_process
        As for `medai.segment`.

    Returns
    -------
    Result
        Its table tells how many times faster than PyTorch each form is and how well its labels agree; the last of
        ``provenance.notes`` what will be used, and why.

    Raises
    ------
    InputError
        When there is no such backend.
    BundleError
        When there is no such model, or it cannot be used.
    DependencyError
        When the backend is not installed.

    Examples
    --------
    >>> print(medai.prepare_model("hippocampus_mr_unet").provenance.notes[-1])  # doctest: +SKIP
    OpenVINO: 2.4 times faster than plain PyTorch on this computer, agrees with it on 100 % of test values
    """
    from medai.bundles import library
    from medai.tasks.choice import usable
    from medai.tasks.prepare import PrepareParameters

    given = {"backend": backend, "device": device}
    PrepareParameters.of(given)  # refused here, where the caller sees it
    bundle = usable(library.find(model)).root
    return run(Job("prepare", bundle, (), given), worker, on_progress, in_process=in_process)
