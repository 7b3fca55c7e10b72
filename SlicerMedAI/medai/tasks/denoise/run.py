"""From a job to its result."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medai.engine.devices import choose_device
from medai.engine.like import exact
from medai.engine.loaded import LoadedModels
from medai.jobs.job import Job
from medai.progress import Report
from medai.result import Result, Table
from medai.tasks.denoise.choice import check_choice
from medai.tasks.denoise.one_image import OneImage
from medai.tasks.denoise.parameters import DenoiseParameters
from medai.tasks.life import Life, Part
from medai.volume import Series, Volume


def run(job: Job, report: Report, loaded: LoadedModels) -> Result:
    """Denoise the job's image, or every frame of its series.

    Parameters
    ----------
    job : Job
        Parameters as in `DenoiseParameters`.
    report : callable
        Hears of every window; may raise to cancel.
    loaded : LoadedModels
        Where the model is found or kept.

    Returns
    -------
    Result
        A `Volume` "NAME denoised" of the input's grid, type and intensity scale, on request a `Volume` "NAME noise"
        (the input minus the first, in float), and a `Table` "noise". For a Series, one Result per frame and a table of
        all frames.

    Raises
    ------
    MedAIError
        With what happened, why, and what to do.
    """
    parameters = DenoiseParameters.of(job.parameters)
    description = check_choice(job.bundle, parameters)
    life = Life(job, report, "Denoising")
    life.at("Preparing")
    inputs = job.inputs
    frames = life.frames
    device = choose_device(parameters.device)
    model = OneImage(life, parameters, description, life.ladder(description.root, device, loaded, parameters))
    model.warn(frames[0][0])
    life.mention(device.reason)
    life.at("Loading model")
    for note in model.ladder.pipeline.notes:
        life.tell(note)
    found = [model.denoised(images, Part(n, len(frames))) for n, images in enumerate(frames)]
    provenance = life.provenance([description], parameters, model.ladder.device)
    images = [frame[0] for frame in frames]
    items = [
        (*(pair if parameters.noise else pair[:1]), _amounts([image], [pair[1]]))
        for image, pair in zip(images, found, strict=True)
    ]
    if not isinstance(inputs, Series):
        return Result(items[0], provenance)
    table = _amounts(images, [noise for _, noise in found])
    return Result((table,), provenance, tuple(Result(own, provenance) for own in items))


def _amounts(images: Sequence[Volume], noises: Sequence[Volume]) -> Table:
    """How much was removed of every image: a first look at how noisy it is."""
    deviations = [float(noise.array.std()) for noise in noises]
    ranges = [_range(image) for image in images]
    columns: dict[str, tuple[object, ...]] = {
        "Image": tuple(image.name for image in images),
        "Noise removed (SD)": tuple(deviations),
        "Of the range (%)": tuple(
            100 * sd / wide if wide else 0.0 for sd, wide in zip(deviations, ranges, strict=True)
        ),
    }
    return Table(columns, "noise")


def _range(image: Volume) -> float:
    """Without the few brightest voxels, which would make any noise look small."""
    values = exact(image.array)
    low, high = np.percentile(values[np.isfinite(values)], (0.5, 99.5))
    return float(high - low)
