"""Tell what an image shows."""

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
    from slicer import vtkMRMLNode, vtkMRMLTableNode

    from medai.jobs.worker import Worker


@overload
def classify(
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
def classify(
    image: vtkMRMLNode | Sequence[vtkMRMLNode | OffScene],
    model: Model,
    *,
    worker: Worker | None = ...,
    on_progress: OnProgress | None = ...,
    in_process: bool = ...,
    **parameters: Any,
) -> vtkMRMLTableNode: ...


def classify(
    image: Image,
    model: Model,
    *,
    series: str | int | None = None,
    worker: Worker | None = None,
    on_progress: OnProgress | None = None,
    in_process: bool = False,
    **parameters: Any,
) -> Any:
    """Tell with which probability an image shows what; waits for the result.

    Parameters
    ----------
    image : path, Volume, Series, MRML node, or list of these
        What to classify, as for `medai.segment`: a picture, a volume, or a stack, every slice of which a model of
        slices classifies for itself.
    model : str, Path, or sequence of these
        Name of a model that classifies (see `models`) or path of a MONAI bundle's folder. Of several models of the same
        classes the mean is taken.
    series, worker, on_progress, in_process
        As for `medai.segment`.
    **parameters
        What the task lets a person choose (`medai.tasks.classify.Parameters`): ``device``, ``region`` (a `Region` or
        markups ROI node, or several, each classified for itself), ``slice_index`` (of a stack, the one slice to
        classify, counted from 0), ``tta`` (the mean over mirrored images too), ``backend``, ``explain`` (True,
        ``"grad_cam"``, ``"grad_cam_pp"`` or ``"occlusion"``: adds a volume of what speaks for the finding, see
        `explain`). None means the default.

    Returns
    -------
    Result or vtkMRMLTableNode
        Given a node, everything is added to its scene and the table's node comes back; else a Result. Its first item is
        the `Table` "probabilities": calibrated, where the model is; with the decision at the model's operating point.

    Raises
    ------
    InputError
        When the image or a parameter cannot be used.
    BundleError
        When there is no such model, or it does not classify.
    MedAIError
        Whatever else ended the job, see `medai.errors`. Nothing is added to the scene then.

    Examples
    --------
    >>> result = medai.classify("breast.png", "breast_us_classifier")  # doctest: +SKIP
    >>> result.table.columns["Decision"]                               # doctest: +SKIP
    ('', 'positive')

    In Slicer:

    >>> node = medai.classify(getNode("Ultrasound"), "breast_us_classifier", explain=True)  # doctest: +SKIP
    """
    nodes = nodes_of(image)
    job = prepare(image, model, task="classify", series=series, **parameters)
    result = run(job, worker, on_progress, in_process=in_process)
    return into_scene(result, job, nodes).tables[0] if nodes else result
