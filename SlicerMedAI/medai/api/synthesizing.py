"""Make images of random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from medai.api.running import OnProgress, of_many, run
from medai.jobs.job import Job
from medai.result import Result

if TYPE_CHECKING:
    from slicer import vtkMRMLScene, vtkMRMLVolumeNode

    from medai.jobs.worker import Worker


@overload
def synthesize(
    model: str | Path,
    count: int = ...,
    seed: int = ...,
    condition: str | None = ...,
    *,
    walk: tuple[int, int] | None = ...,
    first: int = ...,
    scene: None = ...,
    worker: Worker | None = ...,
    on_progress: OnProgress | None = ...,
    in_process: bool = ...,
    **parameters: Any,
) -> Iterator[Result]: ...


@overload
def synthesize(
    model: str | Path,
    count: int = ...,
    seed: int = ...,
    condition: str | None = ...,
    *,
    walk: tuple[int, int] | None = ...,
    first: int = ...,
    scene: vtkMRMLScene,
    worker: Worker | None = ...,
    on_progress: OnProgress | None = ...,
    in_process: bool = ...,
    **parameters: Any,
) -> list[vtkMRMLVolumeNode]: ...


def synthesize(
    model: str | Path,
    count: int = 1,
    seed: int = 0,
    condition: str | None = None,
    *,
    walk: tuple[int, int] | None = None,
    first: int = 0,
    scene: Any = None,
    worker: Worker | None = None,
    on_progress: OnProgress | None = None,
    in_process: bool = False,
    **parameters: Any,
) -> Any:
    """Make synthetic images, one by one: each is made when it is asked for, and none is kept here.

    Parameters
    ----------
    model : str or Path
        Name of a model that makes images (see `models`) or path of a MONAI bundle's folder.
    count : int
        How many images.
    seed : int
        Image `number` of a seed is the same whenever it is made.
    condition : str, optional
        What all of them are to show, as ``medai.models()`` tells in `Description.conditions`; by default they take
        turns.
    walk : (int, int), optional
        In place of `seed`: `count` images on the way from the first one of one seed to the first one of another, along
        a sphere of random numbers, both ends included.
    first : int
        Number of the first image; of a walk, how many of its images are left out.
    scene : vtkMRMLScene, optional
        Add all of them to this scene in one transaction, a volume node and, where the model makes labels, a
        segmentation node for each.
    worker, on_progress, in_process
        As for `medai.segment`.
    **parameters
        What the task lets a person choose besides (`medai.tasks.synthesize.Parameters`): ``device``, ``steps``.

    Returns
    -------
    iterator of Result, or list of vtkMRMLVolumeNode
        One Result per image: its `volume`, and its `labelmap` where the model makes one. Their names and provenance,
        and whatever is written of them, say that they are synthetic. With a scene, the nodes in it.

    Raises
    ------
    InputError
        At the call, when a parameter cannot be used.
    BundleError
        At the call, when there is no such model, or it makes no images.
    MedAIError
        At an image: whatever else ended its job, see `medai.errors`.

    Examples
    --------
    >>> from medai import files
    >>> for result in medai.synthesize("hippocampus_mr_gan", 1000, seed=1):    # doctest: +SKIP
    ...     files.write(result.volume, f"{result.volume.name}.nrrd", provenance=result.provenance)
    >>> result = next(medai.synthesize("breast_us_gan", condition="benign"))   # doctest: +SKIP
    """
    chosen = {"seed": seed, "first": first, "condition": condition, "walk": walk, **parameters}
    if scene is not None:
        from medai import mrml

        mrml.check_scene(scene, [])
        result = run(prepare_synthesis(model, count=count, **chosen), worker, on_progress, in_process=in_process)
        return mrml.add_result(result, (), scene=scene).volumes
    whole = prepare_synthesis(model, count=count, **chosen)
    return (
        run(job, worker, of_many(on_progress, number, count), in_process=in_process)
        for number, job in enumerate(_one_by_one(whole))
    )


def prepare_synthesis(model: str | Path, *, count: int = 1, **parameters: Any) -> Job:
    """The job that makes all of `count` images at once, for callers who submit it themselves and do not wait.

    Parameters
    ----------
    model, count, **parameters
        As for `synthesize`.

    Raises
    ------
    InputError, BundleError
        When they cannot be used, before anything slow happens.
    """
    from medai.bundles import library
    from medai.tasks.synthesize import SynthesizeParameters, check_choice

    given = {"count": count, **{name: value for name, value in parameters.items() if value is not None}}
    checked = SynthesizeParameters.of(given)
    bundle = library.find(model)
    check_choice(bundle, checked)
    return Job("synthesize", bundle, (), {name: getattr(checked, name) for name in given})


def _one_by_one(whole: Job) -> Iterator[Job]:
    """A job for each of its images, so that only one is in memory."""
    asked = dict(whole.parameters)
    first, count = int(asked.get("first", 0)), int(asked.pop("count"))  # type: ignore[call-overload]  # checked
    for number in range(first, first + count):
        steps = {"steps": first + count} if "walk" in asked else {}
        yield Job(whole.task, whole.bundle, (), {**steps, **asked, "first": number, "count": 1})
