"""Segment an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

from medai.api.choosing import DEFAULT_MODEL, Model
from medai.api.images import Image, OffScene, is_node, nodes_of
from medai.api.preparing import prepare
from medai.api.results import into_scene
from medai.api.running import OnProgress, run
from medai.errors import InputError
from medai.result import Result

if TYPE_CHECKING:
    from slicer import vtkMRMLNode, vtkMRMLSegmentationNode

    from medai.jobs.worker import Worker


@overload
def segment(
    image: OffScene | Sequence[OffScene],
    model: Model = ...,
    *,
    series: str | int | None = ...,
    worker: Worker | None = ...,
    on_progress: OnProgress | None = ...,
    in_process: bool = ...,
    **parameters: Any,
) -> Result: ...


@overload
def segment(
    image: vtkMRMLNode | Sequence[vtkMRMLNode | OffScene],
    model: Model = ...,
    *,
    worker: Worker | None = ...,
    on_progress: OnProgress | None = ...,
    in_process: bool = ...,
    segmentation: vtkMRMLSegmentationNode | None = ...,
    **parameters: Any,
) -> vtkMRMLSegmentationNode: ...


def segment(
    image: Image,
    model: Model = DEFAULT_MODEL,
    *,
    series: str | int | None = None,
    worker: Worker | None = None,
    on_progress: OnProgress | None = None,
    in_process: bool = False,
    segmentation: Any = None,
    **parameters: Any,
) -> Any:
    """Segment an image; waits for the result.

    Parameters
    ----------
    image : path, Volume, Series, MRML node, or list of these
        What to segment. A list is for models with several input images, in the model's order. Of a path, any format
        that `medai.files.read` reads, DICOM folders included.
    model : str, Path, or sequence of these
        Name of a model (see `models`) or path of a MONAI bundle's folder. Several models of the same structures vote,
        and an uncertainty volume tells where they disagree.
    series : str or int, optional
        Of a path to a DICOM folder with several series, the one meant: its number in the list that the error names,
        its description, or its SeriesInstanceUID.
    worker : medai.jobs.Worker, optional
        Where to run; by default the one that everything in this process shares, which stays warm.
    on_progress : callable, optional
        Called with every `Progress` in this thread, at least four times a second. Raising in it cancels the job.
    in_process : bool
        Run here instead of in a child process: imports torch into this process, and a crash of the model is a crash
        of it. For clusters and debugging.
    segmentation : vtkMRMLSegmentationNode, optional
        Given a node as `image`: write into this one in place of a new one.
    **parameters
        What the task lets a person choose (`medai.tasks.segment.Parameters`): ``device``, ``region`` (a
        `Region` or markups ROI node, several, or ``"auto"`` for models that find their structure themselves),
        ``segments``, ``overlap``, ``sw_batch_size``, ``backend``, ``tta`` (mirrored images vote, and an uncertainty
        volume tells where they disagree). None means the default.

    Returns
    -------
    Result or vtkMRMLSegmentationNode
        Given a node, everything is added to its scene and the segmentation node comes back; else a Result.

    Raises
    ------
    InputError
        When the image or a parameter cannot be used; an unknown parameter's message names those that exist.
    MedAIError
        Whatever else ended the job, see `medai.errors`. Nothing is added to the scene then.

    Examples
    --------
    >>> result = medai.segment("head.nii.gz", region=medai.Region([-25, -20, -15], [60, 80, 60]))  # doctest: +SKIP
    >>> result.labelmap.volumes_ml()                                                               # doctest: +SKIP
    {'Anterior': 1.71, 'Posterior': 1.42}

    In Slicer:

    >>> node = medai.segment(getNode("MRHead"), device="cpu")  # doctest: +SKIP
    """
    nodes = nodes_of(image)
    if segmentation is not None and not nodes:
        raise InputError(
            "There is no scene to write the segmentation into.",
            "A segmentation node was given, but the image is not a node of a scene.",
            "Give the image's node too, or leave 'segmentation' out.",
        )
    if segmentation is not None and not (is_node(segmentation) and segmentation.IsA("vtkMRMLSegmentationNode")):
        raise InputError(
            "The result cannot be written into what was given as 'segmentation'.",
            "It is not a segmentation node.",
            "Give a segmentation node, or leave 'segmentation' out for a new one.",
        )
    job = prepare(image, model, series=series, **parameters)
    result = run(job, worker, on_progress, in_process=in_process)
    return into_scene(result, job, nodes, segmentation=segmentation).segmentation if nodes else result
