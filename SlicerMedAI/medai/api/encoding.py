"""Describe images by the codes of an autoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from medai.api.images import OffScene, nodes_of
from medai.api.preparing import prepare
from medai.api.results import into_scene
from medai.api.running import OnProgress, of_many, run
from medai.errors import InputError
from medai.jobs.job import Job
from medai.result import Codes, Result, Table
from medai.volume import Volume

if TYPE_CHECKING:
    from slicer import vtkMRMLNode, vtkMRMLTableNode

    from medai.jobs.worker import Worker


@overload
def encode(
    images: OffScene | Sequence[OffScene],
    model: str | Path,
    *,
    reconstruct: bool = ...,
    anomaly: bool = ...,
    series: str | int | None = ...,
    worker: Worker | None = ...,
    on_progress: OnProgress | None = ...,
    in_process: bool = ...,
    **parameters: Any,
) -> Result: ...


@overload
def encode(
    images: vtkMRMLNode | Sequence[vtkMRMLNode],
    model: str | Path,
    *,
    reconstruct: bool = ...,
    anomaly: bool = ...,
    worker: Worker | None = ...,
    on_progress: OnProgress | None = ...,
    in_process: bool = ...,
    **parameters: Any,
) -> vtkMRMLTableNode: ...


def encode(
    images: Any,
    model: str | Path,
    *,
    reconstruct: bool = False,
    anomaly: bool = False,
    series: str | int | None = None,
    worker: Worker | None = None,
    on_progress: OnProgress | None = None,
    in_process: bool = False,
    **parameters: Any,
) -> Any:
    """Describe images by the codes of an autoencoder; waits for the result.

    The features that images are compared by are, of every channel of the code, its mean and standard deviation over the
    image, weighted with brightness (`medai.tasks.encode.features`); as many for every image, whatever its size.

    Parameters
    ----------
    images : path, Volume, Series, MRML node, or list of these
        One image, or the images of a cohort, each encoded for itself with the model loaded once.
    model : str or Path
        Name of a model with an autoencoder (see `models`) or path of a MONAI bundle's folder.
    reconstruct : bool
        Also give the image that each code stands for, on the image's own grid.
    anomaly : bool
        Also give how far that is from the image, voxel by voxel: what is unusual is reconstructed worse.
    series, worker, in_process
        As for `medai.segment`.
    on_progress : callable, optional
        As for `medai.segment`; of a cohort it counts the images.
    **parameters
        What the task lets a person choose besides (`medai.tasks.encode.Parameters`): ``device``, ``region``,
        ``overlap``, ``sw_batch_size``. None means the default.

    Returns
    -------
    Result or vtkMRMLTableNode
        A `Table` "codes" with a row per image: its name, its compression (numbers in the image for each one in the
        code), PSNR and SSIM of the reconstruction, and the features. `Result.codes` has the features as one array and
        the whole codes. Volumes are items of the result; of a cohort, every image's are in one of `Result.frames`.
        Given nodes, all is added to their scene and the table's node comes back.

    Raises
    ------
    InputError
        When an image or a parameter cannot be used.
    BundleError
        When there is no such model, or it has no autoencoder.
    MedAIError
        Whatever else ended the job, see `medai.errors`.

    Examples
    --------
    >>> result = medai.encode(sorted(Path("study").glob("*.nii.gz")), "mr_denoiser")  # doctest: +SKIP
    >>> result.codes.array.shape                                                      # doctest: +SKIP
    (120, 16)
    """
    cohort = isinstance(images, (list, tuple))
    each = list(images) if cohort else [images]
    if not each:
        raise InputError("There is no image to encode.", "The list of images is empty.", "Give at least one image.")
    given = {"series": series, "reconstruct": reconstruct, "anomaly": anomaly, **parameters}
    results: list[Result] = []
    placed: list[tuple[Result, Job, list[Any]]] = []
    for number, image in enumerate(each):
        job = prepare(image, model, task="encode", **given)
        told = on_progress if len(each) == 1 else of_many(on_progress, number, len(each))
        results.append(run(job, worker, told, in_process=in_process))
        if nodes := nodes_of(image):
            placed.append((results[-1], job, nodes))
    if not placed:
        return merged(results) if cohort else results[0]
    if not cohort:
        return into_scene(*placed[0]).tables[0]
    for result, job, nodes in placed:
        if volumes := tuple(item for item in result.items if isinstance(item, Volume)):
            into_scene(replace(result, items=volumes), job, nodes)
        elif result.frames:
            into_scene(result, job, nodes)
    _, job, nodes = placed[0]
    return into_scene(replace(merged(results), frames=()), job, nodes).tables[0]


def merged(results: Sequence[Result]) -> Result:
    """The results of several images as one: table and codes with a row for each, and each in a frame.

    Raises
    ------
    InputError
        When they are of different models.
    """
    tables, codes = [result.table for result in results], [result.codes for result in results]
    if len({one.features for one in codes}) > 1:
        raise InputError(
            "These codes cannot be put together.",
            "They are of different models, or of images of which some are stacks of slices and others are not.",
            "Encode the images with one model, stacks and single pictures apart.",
        )
    columns = {title: tuple(v for table in tables for v in table.columns[title]) for title in tables[0].columns}
    together = Codes(
        np.concatenate([one.array for one in codes]),
        tuple(name for one in codes for name in one.cases),
        codes[0].features,
        tuple(latent for one in codes for latent in one.latents),
    )
    sources = [result.provenance for result in results]
    provenance = replace(
        sources[0],
        duration_s=sum(source.duration_s for source in sources),
        inputs=tuple(name for source in sources for name in source.inputs),
        notes=tuple(dict.fromkeys(note for source in sources for note in source.notes)),
    )
    frames = [part for result in results for part in (result.frames or [result])]
    return Result((Table(columns, tables[0].name), together), provenance, tuple(frames))
