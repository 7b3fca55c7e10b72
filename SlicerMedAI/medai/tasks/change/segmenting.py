"""What a segmentation model finds at two visits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medai.bundles.description import Description
from medai.engine.devices import Device
from medai.engine.loaded import LoadedModels
from medai.jobs.job import Job
from medai.progress import Progress
from medai.result import Labelmap, Segment
from medai.tasks.change.change import Outlined
from medai.tasks.change.parameters import ChangeParameters
from medai.tasks.choice import usable
from medai.tasks.life import Life
from medai.tasks.segment.choice import check_choice
from medai.tasks.segment.parameters import SegmentParameters
from medai.tasks.segment.run import run as segment
from medai.volume import Volume

_VISITS = ("earlier", "later")
Segmented = tuple[Outlined | None, list[Description], Device]


def segmented(
    job: Job, images: Sequence[Volume], parameters: ChangeParameters, life: Life, loaded: LoadedModels
) -> Segmented:
    """Segment both visits by the job's model.

    Parameters
    ----------
    job : Job
        With a bundle.
    images : sequence of two Volumes
        Before and after.
    parameters : ChangeParameters
        Its `segmentation` is what was chosen for the model.
    life : Life
        Hears of every window, and of what the model says of which visit.
    loaded : LoadedModels
        Where the model is found or kept.

    Returns
    -------
    outlined : sequence of (Segment, Volume, Volume)
        Structures that were found at either visit, on the grids of the images.
    models : list of Description
        Those that found them.
    device : Device
        Where they ran.

    Raises
    ------
    MedAIError
        When the model is no segmentation model, or cannot segment the images.
    """
    chosen = dict(parameters.segmentation or {})
    usable(job.bundle, "segment")
    models = [choice.description for choice in check_choice(job.bundle, SegmentParameters.of(chosen))]
    found: list[Labelmap] = []
    for visit, image in zip(_VISITS, images, strict=True):

        def listen(progress: Progress, visit: str = visit) -> None:
            life.at(f"Segmenting the {visit} visit", progress.done, progress.total)
            if progress.note:
                said = progress.note if progress.aside else f"The {visit} visit: {progress.note}"
                life.tell(said, aside=progress.aside)

        made = segment(Job("segment", job.bundle, (image,), chosen), listen, loaded)
        found.append(made.labelmap)
    before, after = found
    outlined = []
    for name, what in {one.name: one for labelmap in found for one in labelmap.segments}.items():
        masks = _mask(before, name, images[0]), _mask(after, name, images[1])
        if any(mask.array.any() for mask in masks):
            outlined.append((what, *masks))
    if not outlined:
        life.tell(f"The model '{models[0].title}' found nothing at either visit.")
    return outlined, models, Device(made.provenance.device, made.provenance.device_reason)


def _mask(labelmap: Labelmap, name: str, image: Volume) -> Volume:
    """Where a structure is; nowhere, when it is not known at this visit (of a region that was not found)."""
    known: list[Segment] = [one for one in labelmap.segments if one.name == name]
    array = labelmap.mask(known[0]) if known else np.zeros(image.shape, bool)
    return Volume(array.astype(np.uint8), labelmap.affine, name)
