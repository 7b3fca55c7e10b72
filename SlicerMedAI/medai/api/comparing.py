"""Compare two visits of a patient."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medai.api.choosing import Model
from medai.api.forecasting import is_tabular
from medai.api.images import Image, inputs_of, is_node, nodes_of
from medai.api.preparing import prepare
from medai.api.running import OnProgress, run
from medai.api.visits import dated, visits_of
from medai.errors import InputError
from medai.jobs.job import Job
from medai.result import Labelmap, Result
from medai.visits import Day
from medai.volume import Series, Volume

if TYPE_CHECKING:
    from medai.jobs.worker import Worker

Mask = Any
"""An image that is above 0 inside (path, Volume, volume node), a `Labelmap`, a `Result` that holds one, or a
segmentation node."""


def change(
    before: Image,
    after: Image | None = None,
    *,
    model: Model | None = None,
    region: Any = None,
    lesions: tuple[Mask, Mask] | None = None,
    mask: Mask | None = None,
    dates: Sequence[Day | None] | None = None,
    series: str | None = None,
    worker: Worker | None = None,
    on_progress: OnProgress | None = None,
    in_process: bool = False,
    **parameters: Any,
) -> Any:
    """What has changed between two visits; waits for the result. A model may be named, but none is needed.

    The images are brought together by a rigid registration and their intensities made alike. All results lie at the
    place of the second visit; nothing is a diagnosis.

    Parameters
    ----------
    before, after : Image
        One image of each visit. `before` alone may be visits (see `medai.api.visits.visits_of`): a folder of dated
        studies, a sequence, a `Series`, or a list of images; their last two are compared.
    model : str, Path, or sequence of these, optional
        A model that segments both visits (several vote, as for `medai.segment`). What it finds is compared, structure
        by structure: what has grown, shrunk, come or gone, and what is unchanged.
    region
        As for `medai.segment`, of both visits: with ``"auto"`` the model finds its place in each.
    lesions : tuple of two masks, optional
        Lesions before and after, drawn by hand or made otherwise, each at the place of its visit. Without these and
        without a model, lesions are where the images differ.
    mask : mask, optional
        Where to look, at the place of the second visit; by default the brain, or all of the patient.
    dates : sequence of date, str or None
        Of the visits, where neither headers nor names tell.
    series : str, optional
        Description of the series that is meant, in DICOM folders that hold several.
    worker, on_progress, in_process
        As for `medai.segment`.
    **parameters
        What can be chosen besides (`medai.tasks.change.Parameters`): ``appearance`` (``"bright"`` or ``"any"``),
        ``threshold``, ``smallest_mm3``, ``tolerance``, ``align``, ``device``. None means the default.

    Returns
    -------
    Result or ResultNodes
        Given nodes, everything is added to the scene beside the second visit and the nodes come back; else a Result:
        a `Labelmap` of the changed lesions, a `Volume` of the difference in standard deviations of unchanged tissue, a
        `Table` of the lesions or structures and one of the patient's motion.

    Raises
    ------
    InputError
        When an image, mask or parameter cannot be used, or the visits do not belong together.
    BundleError
        When there is no such model, or it does not segment.
    MedAIError
        Whatever else ended the job, see `medai.errors`. Nothing is added to the scene then.

    Examples
    --------
    >>> result = medai.change("2023-01-10/FLAIR.nii.gz", "2024-02-03/FLAIR.nii.gz")  # doctest: +SKIP
    >>> result.table.columns["Change"]                                              # doctest: +SKIP
    ('new', 'shrunk')
    >>> medai.change(earlier, later, model="hippocampus_mr_unet", region="auto")    # doctest: +SKIP
    """
    job = prepare_change(
        before, after, model=model, region=region, lesions=lesions, mask=mask, dates=dates, series=series, **parameters
    )
    result = run(job, worker, on_progress, in_process=in_process)
    nodes = nodes_of(before if after is None else after)
    if not nodes:
        return result
    from medai import mrml

    last = job.inputs.frames[-1] if isinstance(job.inputs, Series) else job.inputs[-1]
    node = next((one for one in nodes if one.GetID() == last.id), nodes[-1])
    seen = (last,) if node.IsA("vtkMRMLVolumeNode") else ()
    return mrml.add_result(result, node, inputs=seen)


def prepare_change(
    before: Image,
    after: Image | None = None,
    *,
    model: Model | None = None,
    region: Any = None,
    lesions: tuple[Mask, Mask] | None = None,
    mask: Mask | None = None,
    dates: Sequence[Day | None] | None = None,
    series: str | None = None,
    **parameters: Any,
) -> Job:
    """The job that `change` would run, for callers who submit it themselves and do not wait.

    Raises
    ------
    InputError
        When an image, mask or parameter cannot be used, before anything slow happens.
    BundleError
        When there is no such model, or it does not segment.
    """
    from medai.tasks.change import ChangeParameters
    from medai.tasks.choice import usable

    _check_images(before, after)
    if model is None and region is not None:
        raise InputError("A region was chosen.", "It is where a model looks.", "Choose a model, or leave it out.")
    if model is not None and lesions is not None:
        raise InputError(
            "Lesions cannot be given twice.",
            "A model was chosen that finds what is to be compared, and masks of it were given, too.",
            "Leave out the model, or the masks.",
        )
    images = _pair(before, after, dates, series)
    given = {name: value for name, value in parameters.items() if value is not None}
    bundle = Path()
    if model is not None:
        segmentation = prepare(images[1], model, region=region, device=given.get("device"))
        bundle, given["segmentation"] = segmentation.bundle, segmentation.parameters
        usable(bundle, "segment")
    if lesions is not None:
        if not isinstance(lesions, (list, tuple)) or len(lesions) != 2:
            raise InputError(
                "The lesion masks cannot be used.",
                "One is needed of the earlier visit, and one of the later.",
                "Give both, or none.",
            )
        given["lesions"] = tuple(_mask(one, image) for one, image in zip(lesions, images, strict=True))
    if mask is not None:
        given["mask"] = _mask(mask, images[1])
    checked = ChangeParameters.of(given)
    return Job("change", bundle, images, {name: getattr(checked, name) for name in given})


def _check_images(*given: Image | None) -> None:
    """Refuse tables, of which a person may think that they can be compared."""
    for one in given:
        for thing in one if isinstance(one, (list, tuple)) else (one,):
            if is_tabular(thing):
                name = thing.GetName() if is_node(thing) else Path(thing).name
                raise InputError(
                    f"'{name}' is a table, and no image.",
                    "What has changed is told by comparing images of two visits.",
                    "Choose an image of each visit, or a folder of visits. How measurements in a table will go on is "
                    "told by a forecast ('medai forecast', medai.forecast).",
                )


def _pair(
    before: Image, after: Image | None, dates: Sequence[Day | None] | None, series: str | None
) -> tuple[Volume, Volume]:
    if after is None or dates:
        visits = visits_of(before if after is None else [before, after], dates=dates, series=series).frames
        return visits[-2], visits[-1]
    images = [found for image in (before, after) for found in _images(image, series)]
    if len(images) != 2:
        raise InputError(
            "These are not two visits.",
            f"{len(images)} images were given.",
            "Choose a single image of the earlier visit and one of the later.",
        )
    return images[0], images[1]


def _images(image: Image, series: str | None) -> tuple[Volume, ...]:
    is_folder = isinstance(image, (str, Path)) and Path(image).expanduser().is_dir()
    found = inputs_of(image, series if is_folder else None)
    return found.frames if isinstance(found, Series) else tuple(dated(one, image) for one in found)


def _mask(thing: Mask, image: Volume) -> Volume:
    """A mask as a Volume, above 0 inside."""
    if is_node(thing) and thing.IsA("vtkMRMLSegmentationNode"):
        from medai.mrml.training_items import labelmap_on_grid

        thing = labelmap_on_grid(thing, image)
    if isinstance(thing, Result):
        thing = thing.labelmap
    if isinstance(thing, Labelmap):
        return Volume(np.asarray((thing.layers > 0).any(axis=0), np.uint8), thing.affine, thing.name)
    found = _images(thing, None)
    if len(found) != 1:
        raise InputError(
            "A mask cannot be used.", f"It holds {len(found)} images.", "Choose a mask that is a single image."
        )
    return found[0]
