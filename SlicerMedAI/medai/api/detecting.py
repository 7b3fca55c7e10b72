"""Find things in an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

from medai.api.choosing import Model
from medai.api.images import Image, OffScene, nodes_of
from medai.api.preparing import prepare
from medai.api.results import into_scene
from medai.api.running import OnProgress, run
from medai.result import Result

if TYPE_CHECKING:
    from slicer import vtkMRMLMarkupsROINode, vtkMRMLNode

    from medai.jobs.worker import Worker


@overload
def detect(
    image: OffScene | Sequence[OffScene],
    model: Model,
    *,
    series: str | int | None = ...,
    worker: Worker | None = ...,
    on_progress: OnProgress | None = ...,
    in_process: bool = ...,
    **parameters: Any,
) -> Result: ...


@overload
def detect(
    image: vtkMRMLNode | Sequence[vtkMRMLNode | OffScene],
    model: Model,
    *,
    worker: Worker | None = ...,
    on_progress: OnProgress | None = ...,
    in_process: bool = ...,
    **parameters: Any,
) -> list[vtkMRMLMarkupsROINode]: ...


def detect(
    image: Image,
    model: Model,
    *,
    series: str | int | None = None,
    worker: Worker | None = None,
    on_progress: OnProgress | None = None,
    in_process: bool = False,
    **parameters: Any,
) -> Any:
    """Find things in an image and draw a box around each; waits for the result.

    Parameters
    ----------
    image : path, Volume, Series, MRML node, or list of these
        Where to look, as for `medai.segment`: a picture, a volume, or a stack, every slice of which a model of slices
        looks through for itself.
    model : str or Path
        Name of a model that detects (see `models`) or path of a MONAI bundle's folder.
    series, worker, on_progress, in_process
        As for `medai.segment`.
    **parameters
        What the task lets a person choose (`medai.tasks.detect.Parameters`): ``device``, ``threshold`` (score from
        which on something is a finding; the model's operating point by default), ``region`` (a `Region` or markups ROI
        node, or several: what lies outside is left out), ``classes``, ``largest_overlap`` (of two boxes of a class, as
        intersection over union in mm, above which the weaker one is left out). None means the default.

    Returns
    -------
    Result or list of vtkMRMLMarkupsROINode
        Given a node, everything is added to its scene and the ROI nodes come back, the most certain finding first; else
        a Result, whose ``boxes`` are in RAS mm with a score and a class each, and whose `Table` "findings" lists them.

    Raises
    ------
    InputError
        When the image or a parameter cannot be used.
    BundleError
        When there is no such model, or it does not detect.
    MedAIError
        Whatever else ended the job, see `medai.errors`. Nothing is added to the scene then.

    Examples
    --------
    >>> found = medai.detect("breast.png", "breast_us_lesion_detector").boxes  # doctest: +SKIP
    >>> found.scores, found.regions[0].center                                 # doctest: +SKIP

    In Slicer:

    >>> rois = medai.detect(getNode("Ultrasound"), "breast_us_lesion_detector")  # doctest: +SKIP
    """
    nodes = nodes_of(image)
    job = prepare(image, model, task="detect", series=series, **parameters)
    result = run(job, worker, on_progress, in_process=in_process)
    return into_scene(result, job, nodes).rois if nodes else result
