"""The job behind every call."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from medai.api.choosing import DEFAULT_MODEL, Model, chosen
from medai.api.images import Image, inputs_of, regions_of
from medai.errors import InputError
from medai.jobs.job import Job
from medai.tasks import IMAGE_TASKS


def prepare(
    image: Image,
    model: Model = DEFAULT_MODEL,
    *,
    task: str = "segment",
    series: str | int | None = None,
    **parameters: Any,
) -> Job:
    """The job that a call such as `segment` would run, for callers who submit it themselves and do not wait.

    Parameters
    ----------
    image, model, series, **parameters
        As for the task's own call.
    task : str
        One of `medai.tasks.IMAGE_TASKS`.

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

    if task not in IMAGE_TASKS:
        raise InputError(f"'{task}' is not a task.", f"Known are: {', '.join(IMAGE_TASKS)}.", "Choose one of them.")
    home = import_module(f"medai.tasks.{task}")
    given = {name: value for name, value in parameters.items() if value is not None}
    if "region" in given:
        given["region"] = regions_of(given["region"])
        if given["region"] == ():
            del given["region"]
    first, *others = chosen(model)
    bundle = library.find(first)
    if others:
        given["ensemble"] = tuple(library.find(other) for other in others)
    # Refuses unknown names and unusable values here, where the caller sees them.
    checked = home.Parameters.of(given)
    home.check_choice(bundle, checked)
    return Job(task, bundle, inputs_of(image, series), {name: getattr(checked, name) for name in given})
