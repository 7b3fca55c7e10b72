"""From a job to its result."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medai.bundles.quantized import has_int8
from medai.engine.devices import choose_device
from medai.engine.loaded import LoadedModels
from medai.jobs.job import Job
from medai.progress import Report
from medai.result import Codes, Item, Result, Table
from medai.tasks.encode.choice import check_choice
from medai.tasks.encode.one_image import Encoded, OneImage
from medai.tasks.encode.parameters import EncodeParameters
from medai.tasks.life import Life, Part
from medai.volume import Series, Volume

_OTHER_CODES = (
    "The 8-bit form of a model gives codes that are a little different from those of its weights. Encode all images "
    "that you compare with the same model on the same kind of device."
)


def run(job: Job, report: Report, loaded: LoadedModels) -> Result:
    """Encode the job's image, or every frame of its series.

    Parameters
    ----------
    job : Job
        Parameters as in `EncodeParameters`.
    report : callable
        Hears of every window; may raise to cancel.
    loaded : LoadedModels
        Where the model is found or kept.

    Returns
    -------
    Result
        A `Table` "codes" and `Codes`; on request a `Volume` "NAME reconstruction" on the input's grid, of its type and
        intensity scale, and a `Volume` "NAME anomaly". For a Series, one Result per frame, and table and codes of all
        frames.

    Raises
    ------
    MedAIError
        With what happened, why, and what to do.
    """
    parameters = EncodeParameters.of(job.parameters)
    choice = check_choice(job.bundle, parameters)
    description = choice.description
    life = Life(job, report, "Encoding")
    life.at("Preparing")
    inputs = job.inputs
    frames = life.frames
    for warning in description.warnings(frames[0]):
        life.tell(warning)
    device = choose_device(parameters.device)
    life.mention(device.reason)
    life.at("Loading model")
    ladder = life.ladder(description.root, device, loaded, parameters, stem=choice.stem)
    for note in ladder.pipeline.notes:
        life.tell(note)
    if has_int8(description.root):
        life.tell(_OTHER_CODES)
    model = OneImage(life, parameters, description, ladder)
    found = [model.encoded(images, Part(n, len(frames))) for n, images in enumerate(frames)]
    provenance = life.provenance([description], parameters, ladder.device)
    items: list[tuple[Item, ...]] = [(_table([one]), _codes([one]), *_volumes(one, parameters)) for one in found]
    if not isinstance(inputs, Series):
        return Result(items[0], provenance)
    return Result((_table(found), _codes(found)), provenance, tuple(Result(own, provenance) for own in items))


def _volumes(found: Encoded, parameters: EncodeParameters) -> tuple[Volume, ...]:
    wanted = ((parameters.reconstruct, found.reconstruction), (parameters.anomaly, found.anomaly))
    return tuple(volume for asked, volume in wanted if asked)


def _table(found: Sequence[Encoded]) -> Table:
    """One row per image: how well its code describes it, and the features of the code."""
    columns: dict[str, tuple[object, ...]] = {
        "Image": tuple(one.name for one in found),
        "Compression": tuple(one.compression for one in found),
        "PSNR (dB)": tuple(one.psnr_db for one in found),
        "SSIM": tuple(one.ssim for one in found),
    }
    columns |= {name: tuple(float(one.features[n]) for one in found) for n, name in enumerate(found[0].names)}
    return Table(columns, "codes")


def _codes(found: Sequence[Encoded]) -> Codes:
    return Codes(
        np.stack([one.features for one in found]),
        tuple(one.name for one in found),
        found[0].names,
        tuple(one.code for one in found),
    )
