"""Whether a model serves a task; told without torch, so at once."""

from __future__ import annotations

from pathlib import Path

from medai.bundles.description import Description, describe
from medai.bundles.mirroring import mirror_axes
from medai.bundles.purpose import OTHER
from medai.errors import BundleError, InputError

_SPOKEN = {
    "segment": "segmentation",
    "classify": "classification",
    "detect": "detection",
    "denoise": "noise removal",
    "encode": "encoding",
    "translate": "making images of another contrast",
    "synthesize": "making images",
    "forecast": "forecasts",
}


def usable(bundle: Path, *tasks: str) -> Description:
    """A model that can be used for one of some tasks (any, when none is named), or whose purpose medai cannot tell.

    Raises
    ------
    BundleError
        When it cannot be used at all, or is for something else.
    """
    description = describe(bundle)
    if description.problem:
        raise BundleError(
            f"The model '{description.title}' cannot be used.", description.problem, "Choose another model."
        )
    if tasks and not {*description.tasks, description.task} & {*tasks, OTHER}:
        is_for = " and ".join(_SPOKEN.get(task, task) for task in description.tasks)
        raise BundleError(
            f"The model '{description.title}' is not for {_SPOKEN[tasks[0]]}.",
            f"It is for {is_for}.",
            "Choose another model; 'medai models list' or medai.models() tells what each is for.",
        )
    return description


def trained_mirrors(description: Description) -> tuple[int, ...]:
    """Spatial axes of the network's input along which a model may be shown mirrors of an image.

    Raises
    ------
    InputError
        When there are none.
    """
    axes = mirror_axes(description.root, description.dimensions or 3)
    if not axes:
        raise InputError(
            f"Test-time augmentation is not for the model '{description.title}'.",
            "It was not trained on mirrored images, so showing it mirrors would make its result worse.",
            "Leave test-time augmentation off, or choose another model.",
        )
    return axes
