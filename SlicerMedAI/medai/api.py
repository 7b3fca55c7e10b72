"""One call per task, with the same names from Slicer's Python console, a notebook, the command line and the panels."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from medai.errors import InputError
from medai.jobs.job import Job
from medai.progress import Progress, ignore
from medai.result import Result
from medai.volume import Region, Series, Volume

if TYPE_CHECKING:
    from slicer import vtkMRMLNode, vtkMRMLSegmentationNode

    from medai.bundles.description import Description
    from medai.jobs.worker import Worker

DEFAULT_MODEL = "hippocampus_mr_unet"

Image = Any
"""A path, a `Volume`, a `Series`, a MRML node (scalar or vector volume, sequence, sequence browser), or a list of these
for a model with several input images."""


def models() -> tuple[Description, ...]:
    """The models that can be used: shipped, imported, trained here.

    A model that cannot be used is listed too, with the reason in its ``problem``.

    Examples
    --------
    >>> for model in medai.models():                      # doctest: +SKIP
    ...     print(model.name, model.modality, model.licence)
    """
    from medai.bundles import library

    return tuple(library.models())


Model = str | Path | Sequence[str | Path]
"""The name of a model or the folder of a MONAI bundle, or several that vote."""
OffScene = str | os.PathLike[str] | Volume | Series
"""An `Image` that is no node."""


@overload
def segment(
    image: OffScene | Sequence[OffScene],
    model: Model = ...,
    *,
    series: str | int | None = ...,
    worker: Worker | None = ...,
    on_progress: Callable[[Progress], None] | None = ...,
    in_process: bool = ...,
    **parameters: Any,
) -> Result: ...


@overload
def segment(
    image: vtkMRMLNode | Sequence[vtkMRMLNode | OffScene],
    model: Model = ...,
    *,
    worker: Worker | None = ...,
    on_progress: Callable[[Progress], None] | None = ...,
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
    on_progress: Callable[[Progress], None] | None = None,
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
        What the task lets a person choose (`medai.tasks.segment.SegmentParameters`): ``device``, ``region`` (a
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
    nodes = [item for item in _listed(image) if is_node(item)]
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
    result = run_here(job, on_progress) if in_process else _run_in(worker, job, on_progress)
    if not nodes:
        return result
    from medai import mrml

    first = job.inputs.frames[:1] if isinstance(job.inputs, Series) else job.inputs[:1]
    return mrml.add_result(result, nodes, segmentation=segmentation, inputs=first).segmentation


def prepare(image: Image, model: Model = DEFAULT_MODEL, *, series: str | int | None = None, **parameters: Any) -> Job:
    """The job that `segment` would run, for callers who submit it themselves and do not wait.

    Parameters
    ----------
    image, model, series, **parameters
        As for `segment`.

    Returns
    -------
    Job
        Its voxels are views on the nodes' own memory: leave the nodes' voxels alone until the job has begun.

    Raises
    ------
    InputError
        When the image or a parameter cannot be used, before anything slow happens.
    BundleError
        When there is no such model, or it cannot be used.

    Examples
    --------
    >>> from medai.jobs import default_worker
    >>> running = default_worker().submit(medai.prepare(node, device="cpu"))  # doctest: +SKIP
    """
    from medai.bundles import library
    from medai.tasks.segment import SegmentParameters, check_choice

    chosen = {name: value for name, value in parameters.items() if value is not None}
    if "region" in chosen:
        chosen["region"] = _regions(chosen["region"])
        if chosen["region"] == ():
            del chosen["region"]
    first, *others = _models(model)
    bundle = library.find(first)
    if others:
        chosen["ensemble"] = tuple(library.find(other) for other in others)
    # Refuses unknown names and unusable values here, where the caller sees them.
    checked = SegmentParameters.of(chosen)
    check_choice(bundle, checked)
    return Job("segment", bundle, _inputs(image, series), {name: getattr(checked, name) for name in chosen})


def _models(model: Model) -> Sequence[str | Path]:
    chosen: list[Any] = list(model) if isinstance(model, (list, tuple, set, frozenset)) else [model]
    if not chosen or not all(isinstance(one, (str, os.PathLike)) for one in chosen):
        raise InputError(
            "No model was chosen." if not chosen else f"'{model}' is no model.",
            "A model is known by its name or by its bundle's folder.",
            "Choose one; medai.models() lists them.",
        )
    return chosen


def run_here(job: Job, on_progress: Callable[[Progress], None] | None = None) -> Result:
    """Run a job in this process, with the models that earlier calls have loaded. Imports torch.

    Raises
    ------
    MedAIError
        Always one of its children, as from a worker.
    """
    from medai import tasks
    from medai.engine.loaded import LoadedModels

    if "here" not in _loaded:
        _loaded["here"] = LoadedModels(backends=True)
    return tasks.run(job, on_progress or ignore, _loaded["here"])


_loaded: dict[str, Any] = {}


def is_node(thing: object) -> bool:
    """Whether something is a node of a MRML scene; told without importing slicer or vtk."""
    return callable(getattr(thing, "GetClassName", None)) and callable(getattr(thing, "IsA", None))


def _run_in(worker: Worker | None, job: Job, on_progress: Callable[[Progress], None] | None) -> Result:
    if worker is None:
        from medai.jobs.worker import default_worker

        worker = default_worker()
    return worker.submit(job).wait(on_progress)


def _listed(image: Image) -> list[Any]:
    return list(image) if isinstance(image, (list, tuple)) else [image]


def _inputs(image: Image, series: str | int | None) -> tuple[Volume, ...] | Series:
    read = [_read(item, series) for item in _listed(image)]
    if len(read) == 1 and isinstance(read[0], Series):
        return read[0]
    if not read or any(isinstance(item, Series) for item in read):
        raise InputError(
            "These images cannot be segmented together.",
            "A sequence stands among them, and only single images can be combined." if read else "There are none.",
            "Choose one image per input of the model, or one sequence.",
        )
    return tuple(item for item in read if isinstance(item, Volume))


def _read(item: Any, series: str | int | None) -> Volume | Series:
    if isinstance(item, (str, os.PathLike)):
        from medai import files

        return files.read(Path(item).expanduser(), series)
    if series is not None:
        raise InputError(
            "There is no series to choose from.",
            "Only DICOM folders hold several series, and the image is not the path of one.",
            "Leave 'series' out.",
        )
    if isinstance(item, (Volume, Series)):
        return item
    if is_node(item):
        from medai import mrml

        if item.IsA("vtkMRMLSequenceNode") or item.IsA("vtkMRMLSequenceBrowserNode"):
            return mrml.series_from_node(item)
        if item.IsA("vtkMRMLVolumeNode"):
            return mrml.volume_from_node(item)
        raise InputError(
            f"'{item.GetName()}' is not an image.",
            f"It is of another kind ({item.GetClassName()}).",
            "Choose a volume or a sequence of volumes.",
        )
    raise InputError(
        "There is no image to segment." if item is None else f"'{type(item).__name__}' is no kind of image.",
        "A path, a medai.Volume, a medai.Series or a MRML node is needed.",
        "For a bare array, make a medai.Volume with its index-to-RAS affine first.",
    )


def _regions(region: Any) -> Region | tuple[Region, ...] | Literal["auto"]:
    if isinstance(region, str) and region == "auto":
        return "auto"
    if isinstance(region, (list, tuple)):
        return tuple(_region(one) for one in region)
    return _region(region)


def _region(region: Any) -> Region:
    if isinstance(region, Region):
        return region
    if is_node(region) and region.IsA("vtkMRMLMarkupsROINode"):
        from medai import mrml

        return mrml.region_from_node(region)
    raise InputError(
        "The region cannot be used.",
        "It is neither a medai.Region, nor a markups ROI node, nor 'auto'.",
        "Draw a ROI (in Slicer: Markups module), or make a medai.Region from its centre and size in mm.",
    )
