"""Show what in an image speaks for a classifier's finding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from medai.api.images import Image, OffScene, nodes_of
from medai.api.preparing import prepare
from medai.api.results import into_scene
from medai.api.running import OnProgress, run
from medai.result import Result

if TYPE_CHECKING:
    from slicer import vtkMRMLNode, vtkMRMLVolumeNode

    from medai.jobs.worker import Worker


@overload
def explain(
    image: OffScene | Sequence[OffScene],
    model: str | Path,
    *,
    method: str = ...,
    target_class: str | None = ...,
    series: str | int | None = ...,
    worker: Worker | None = ...,
    on_progress: OnProgress | None = ...,
    in_process: bool = ...,
    **parameters: Any,
) -> Result: ...


@overload
def explain(
    image: vtkMRMLNode | Sequence[vtkMRMLNode | OffScene],
    model: str | Path,
    *,
    method: str = ...,
    target_class: str | None = ...,
    worker: Worker | None = ...,
    on_progress: OnProgress | None = ...,
    in_process: bool = ...,
    **parameters: Any,
) -> vtkMRMLVolumeNode: ...


def explain(
    image: Image,
    model: str | Path,
    *,
    method: str = "grad_cam",
    target_class: str | None = None,
    series: str | int | None = None,
    worker: Worker | None = None,
    on_progress: OnProgress | None = None,
    in_process: bool = False,
    **parameters: Any,
) -> Any:
    """Show what in an image speaks for what a classifier finds; waits for the result.

    Parameters
    ----------
    image : path, Volume, Series, MRML node, or list of these
        As for `classify`.
    model : str or Path
        Name of a model that classifies, or path of a MONAI bundle's folder.
    method : str
        ``"grad_cam"``, ``"grad_cam_pp"`` or ``"occlusion"``; see `medai.tasks.explain.Parameters`.
    target_class : str, optional
        Name of the class to explain; the finding of the model's operating point by default, or else the most probable
        class.
    series, worker, on_progress, in_process
        As for `medai.segment`.
    **parameters
        What the task lets a person choose besides: ``device``, ``region``, ``slice_index``, ``backend``, ``layer`` (of
        the network, for Grad-CAM), ``steps`` (places along each axis, for occlusion). None means the default.

    Returns
    -------
    Result or vtkMRMLVolumeNode
        Given a node, everything is added to its scene and the map's node comes back; else a Result. Its first items are
        a `Volume` on exactly the image's grid, from 0 to 1 (most), and the `Table` "probabilities".

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
    >>> result = medai.explain("breast.png", "breast_us_classifier", method="occlusion")  # doctest: +SKIP
    >>> result.volume.array.max()                                                        # doctest: +SKIP
    1.0
    """
    nodes = nodes_of(image)
    chosen = {"method": method, "target_class": target_class, **parameters}
    job = prepare(image, model, task="explain", series=series, **chosen)
    result = run(job, worker, on_progress, in_process=in_process)
    return into_scene(result, job, nodes).volumes[0] if nodes else result
