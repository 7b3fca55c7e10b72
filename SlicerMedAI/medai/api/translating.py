"""Make an image of another contrast out of one."""

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
def translate(
    image: OffScene,
    model: str | Path,
    *,
    series: str | int | None = ...,
    worker: Worker | None = ...,
    on_progress: OnProgress | None = ...,
    in_process: bool = ...,
    **parameters: Any,
) -> Result: ...


@overload
def translate(
    image: vtkMRMLNode | Sequence[vtkMRMLNode],
    model: str | Path,
    *,
    worker: Worker | None = ...,
    on_progress: OnProgress | None = ...,
    in_process: bool = ...,
    **parameters: Any,
) -> vtkMRMLVolumeNode: ...


def translate(
    image: Image,
    model: str | Path,
    *,
    series: str | int | None = None,
    worker: Worker | None = None,
    on_progress: OnProgress | None = None,
    in_process: bool = False,
    **parameters: Any,
) -> Any:
    """Make an image of another contrast out of one, such as a FLAIR image out of a T1; waits for the result.

    The result is synthetic: it shows what images of the other contrast usually look like there, not what was measured.
    A lesion that only the other contrast would show is missing in it.

    Parameters
    ----------
    image : path, Volume, Series or MRML node
        A volume, a picture, a stack of slices, or a sequence, whose frames are translated one by one.
    model : str or Path
        Name of a model that translates (see `models`) or path of a MONAI bundle's folder.
    series, worker, on_progress, in_process
        As for `medai.segment`.
    **parameters
        What the task lets a person choose (`medai.tasks.translate.Parameters`): ``device``, ``region`` (a `Region` or
        markups ROI node, or several: outside of them the result is 0), ``overlap``, ``sw_batch_size``, ``backend``.
        None means the default.

    Returns
    -------
    Result or vtkMRMLVolumeNode
        Given a node, everything is added to its scene and the new volume's node comes back; else a Result. The volume
        lies on the image's grid and is called "NAME synthetic". Of a sequence, the first frame's node.

    Raises
    ------
    InputError
        When the image or a parameter cannot be used.
    BundleError
        When there is no such model, or it is not for translation.
    MedAIError
        Whatever else ended the job, see `medai.errors`. Nothing is added to the scene then.

    Examples
    --------
    >>> result = medai.translate("t1.nii.gz", "models/my_t1_to_flair")  # doctest: +SKIP
    >>> result.volume.name                                              # doctest: +SKIP
    't1 synthetic'
    """
    nodes = nodes_of(image)
    job = prepare(image, model, task="translate", series=series, **parameters)
    result = run(job, worker, on_progress, in_process=in_process)
    return into_scene(result, job, nodes).volumes[0] if nodes else result
