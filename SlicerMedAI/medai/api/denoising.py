"""Take the noise out of an image."""

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
def denoise(
    image: OffScene,
    model: str | Path,
    *,
    strength: float = ...,
    noise: bool = ...,
    series: str | int | None = ...,
    worker: Worker | None = ...,
    on_progress: OnProgress | None = ...,
    in_process: bool = ...,
    **parameters: Any,
) -> Result: ...


@overload
def denoise(
    image: vtkMRMLNode | Sequence[vtkMRMLNode],
    model: str | Path,
    *,
    strength: float = ...,
    noise: bool = ...,
    worker: Worker | None = ...,
    on_progress: OnProgress | None = ...,
    in_process: bool = ...,
    **parameters: Any,
) -> vtkMRMLVolumeNode: ...


def denoise(
    image: Image,
    model: str | Path,
    *,
    strength: float = 1.0,
    noise: bool = False,
    series: str | int | None = None,
    worker: Worker | None = None,
    on_progress: OnProgress | None = None,
    in_process: bool = False,
    **parameters: Any,
) -> Any:
    """Take the noise out of an image; waits for the result.

    Parameters
    ----------
    image : path, Volume, Series or MRML node
        What to denoise: a volume, a picture, a stack of slices, or a sequence, whose frames are denoised one by one. Of
        colours, all at once where the model takes them, else one by one.
    model : str or Path
        Name of a model that denoises (see `models`) or path of a MONAI bundle's folder.
    strength : float
        How much of the noise that the model finds is taken away, from 0 (the image stays as it is) to 1 (all of it):
        the result is the image minus `strength` times the noise.
    noise : bool
        Also give the removed noise, the image minus the result, as a volume of floats.
    series, worker, on_progress, in_process
        As for `medai.segment`.
    **parameters
        What the task lets a person choose besides (`medai.tasks.denoise.Parameters`): ``device``, ``region`` (a
        `Region` or markups ROI node, or several: outside of them no voxel is changed), ``overlap``, ``sw_batch_size``,
        ``backend``. None means the default.

    Returns
    -------
    Result or vtkMRMLVolumeNode
        Given a node, everything is added to its scene and the denoised volume's node comes back; else a Result. The
        denoised volume has exactly the grid, the type and the intensity scale of the image, and no voxel is brighter
        or darker than all of the 5 x 5 x 5 voxels around it were.

    Raises
    ------
    InputError
        When the image or a parameter cannot be used.
    BundleError
        When there is no such model, or it is not for denoising.
    MedAIError
        Whatever else ended the job, see `medai.errors`. Nothing is added to the scene then.

    Examples
    --------
    >>> result = medai.denoise("head.nii.gz", "mr_denoiser", strength=0.7, noise=True)  # doctest: +SKIP
    >>> result.volume.array.dtype                                                       # doctest: +SKIP
    dtype('int16')

    In Slicer:

    >>> node = medai.denoise(getNode("MRHead"), "mr_denoiser")  # doctest: +SKIP
    """
    nodes = nodes_of(image)
    job = prepare(image, model, task="denoise", series=series, strength=strength, noise=noise, **parameters)
    result = run(job, worker, on_progress, in_process=in_process)
    return into_scene(result, job, nodes).volumes[0] if nodes else result
