"""What a denoiser leaves of simulated noise, beside the image without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medai.bundles import configs
from medai.engine.like import onto
from medai.training.data import DataList
from medai.training.data.voxels import read_source
from medai.training.evaluation import RestorationCase
from medai.training.recipe.noise import noise
from medai.volume import Volume

if TYPE_CHECKING:
    from medai.engine.loaded import LoadedModels

_WEAKEST = 0.01
_USUAL: Mapping[str, Any] = {"model": "rician", "strongest": 0.15}


def denoised(
    root: Path, data: DataList, at: Callable[[int], None], loaded: LoadedModels, device: str
) -> Iterator[RestorationCase]:
    """Each image with noise of a strength of its own, the same in every evaluation.

    The noise is of the kind that the model was trained for, as its metadata say; Rician where they do not. Strengths
    are even between 1 % of the image's range and the strongest of the training.
    """
    pipeline = loaded.get(root, device)
    trained = {**_USUAL, **configs.metadata(root).get("medai", {}).get("noise", {})}
    for number, item in enumerate(data):
        at(number)
        clean = read_source(item.files["image"][0])
        array = clean.array.astype(np.float32)
        low, high = trained.get("range") or (float(value) for value in np.percentile(array, (0.5, 99.5)))
        share = np.random.default_rng(number).uniform(min(_WEAKEST, trained["strongest"]), trained["strongest"])
        scale = high - low if "range" in trained else high
        noisy = add_noise(clean, trained["model"], share * scale, seed=number)
        restored = pipeline.image(pipeline.infer(pipeline.preprocess((noisy,))), clean.name)
        yield RestorationCase(
            name=item.name,
            patient=item.patient,
            image=clean,
            reference=Volume(array, clean.affine, clean.name, clean.modality),
            restored=restored,
            degraded=noisy,
            data_range=(low, high),
        )
    at(len(data))


def translated(
    root: Path, data: DataList, at: Callable[[int], None], loaded: LoadedModels, device: str
) -> Iterator[RestorationCase]:
    """Each image made into another, beside the one that it should be.

    A generator knows no patient's own scale of intensities, so the reference is brought to the generator's first, by
    its 0.5 and 99.5 percentiles, which are the ends of the data range. With it stands what can be had without a
    network: the image itself with the reference's intensities, each voxel keeping its rank (histogram matching).
    """
    pipeline = loaded.get(root, device)
    low, high = (float(end) for end in configs.metadata(root).get("medai", {}).get("scale", (0.0, 1.0)))
    for number, item in enumerate(data):
        at(number)
        image = read_source(item.files["image"][0])
        given = read_source(item.files["target"][0])
        made = pipeline.image(pipeline.infer(pipeline.preprocess((image,))), image.name)
        reference = _on_scale(onto(given, image), low, high)
        yield RestorationCase(
            name=item.name,
            patient=item.patient,
            image=image,
            reference=Volume(reference, image.affine, given.name, given.modality),
            restored=Volume(onto(made, image), image.affine, made.name),
            degraded=Volume(matched(image.array, reference), image.affine, image.name),
            data_range=(low, high),
        )
    at(len(data))


def _on_scale(array: NDArray[Any], low: float, high: float) -> NDArray[np.float32]:
    ends = np.percentile(array, (0.5, 99.5))
    width = float(ends[1] - ends[0]) or 1.0
    return np.asarray((array - ends[0]) / width * (high - low) + low, dtype=np.float32)


def matched(array: NDArray[Any], reference: NDArray[np.float32]) -> NDArray[np.float32]:
    """An image's ranks with the intensities of a reference; equal voxels stay equal."""
    _, place, counts = np.unique(array, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - counts / 2) / array.size
    levels = np.sort(reference, axis=None)
    values = np.interp(rank, (np.arange(levels.size) + 0.5) / levels.size, levels)
    return np.asarray(values[place].reshape(array.shape), dtype=np.float32)


def add_noise(clean: Volume, model: str, std: float, *, seed: int) -> Volume:
    """A volume with simulated noise, the same for the same seed.

    Parameters
    ----------
    clean : Volume
        For ``"low_dose_ct"`` in Hounsfield units, of slices along the table.
    model : str
        One of `medai.training.parameters.NOISES` but ``"auto"``.
    std : float
        Its standard deviation, in the image's own unit; of the two parts of a complex image for ``"rician"``, in the
        middle of the tissue for ``"low_dose_ct"``.
    seed : int
    """
    import torch
    from monai.bundle import ConfigParser
    from monai.data import MetaTensor

    steps = noise(model, std, (0.0, 1.0), sample=False)
    transform = ConfigParser({"all": {"_target_": "Compose", "transforms": steps}}).get_parsed_content("all")
    transform.set_random_state(seed=seed)
    # Slices are the last axis of MONAI's images, and the first of a volume's array.
    array = torch.from_numpy(np.ascontiguousarray(clean.array.T, dtype=np.float32))
    channels = array if clean.channels > 1 else array[None]
    found = transform({"image": MetaTensor(channels, affine=torch.tensor(clean.affine.tolist()))})["image"].numpy()
    back = np.ascontiguousarray((found if clean.channels > 1 else found[0]).T)
    return Volume(back, clean.affine, clean.name, clean.modality)
