"""Make input images fit for a network, or say why they cannot be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from medai.engine.resample import resample
from medai.errors import GeometryError, InputError, NothingToSeeError
from medai.volume import Volume, apply_affine, corners

Tell = Callable[[str], None]
"""Says a change aloud that a person should know of."""

# ITU-R BT.601, as every picture viewer uses for "greyscale".
_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def fit_inputs(volumes: Sequence[Volume], channels: int, tell: Tell) -> tuple[Volume, ...]:
    """The images as the network needs them: as many channels, all on the grid of the first, every voxel a number.

    Parameters
    ----------
    volumes : sequence of Volume
        In the order of the model's inputs.
    channels : int
        Input channels of the network; 0 when unknown.
    tell : callable
        Hears of every change.

    Raises
    ------
    InputError
        When there is no image, the channels do not fit, or an image has no contrast or no valid voxel.
    GeometryError
        When two images do not overlap in the patient.
    """
    if not volumes:
        raise InputError("No image was given.", "The model needs at least one.", "Choose an image.")
    volumes = _match_channels(volumes, channels, tell)
    volumes = tuple(_finite(volume, tell) for volume in volumes)
    first = volumes[0]
    return (first, *(_on_grid_of(first, other, tell) for other in volumes[1:]))


def check_contrast(volume: Volume) -> None:
    """Refuse an image in which all voxels are the same.

    Raises
    ------
    NothingToSeeError
        When nothing can be told apart in it.
    """
    if volume.array.min() == volume.array.max():
        raise NothingToSeeError(
            f"There is nothing to see in '{volume.name}', or in the chosen region of it.",
            f"{'Its only voxel has' if volume.array.size == 1 else f'All of its {volume.array.size} voxels have'} "
            f"the value {volume.array.flat[0]:g}.",
            "Choose another image, or place the region on the structure of interest.",
        )


def _match_channels(volumes: Sequence[Volume], channels: int, tell: Tell) -> tuple[Volume, ...]:
    given = sum(volume.channels for volume in volumes)
    if channels and given != channels and channels == len(volumes):
        volumes = tuple(_grey(volume, tell) if volume.channels > 1 else volume for volume in volumes)
    elif channels == 3 and len(volumes) == 1 and volumes[0].channels == 4:
        tell(f"The transparency of '{volumes[0].name}' was left out.")
        volumes = (replace(volumes[0], array=volumes[0].array[..., :3]),)
    given = sum(volume.channels for volume in volumes)
    if channels and given != channels:
        names = ", ".join(f"'{v.name}'" + (f" with {v.channels} components" if v.channels > 1 else "") for v in volumes)
        raise InputError(
            f"This model needs {channels} image{'s' if channels > 1 else ''} at once, but got {given}.",
            f"Given: {names}.",
            "Choose the images that the model's description names, in its order."
            if channels > 1
            else "Give it one image after the other; images that are given at once are taken for one patient's.",
        )
    return tuple(volumes)


def _grey(volume: Volume, tell: Tell) -> Volume:
    if not volume.in_colour:
        raise InputError(
            f"'{volume.name}' has {volume.channels} values per voxel, but this model takes one.",
            "It is neither a greyscale nor a colour image.",
            "Choose a greyscale image, or extract the component you need first.",
        )
    tell(f"'{volume.name}' is a colour image; its brightness was used.")
    grey = np.rint(volume.array[..., :3].astype(np.float32) @ _LUMINANCE).astype(volume.array.dtype)
    return replace(volume, array=grey)


def _finite(volume: Volume, tell: Tell) -> Volume:
    if volume.array.dtype.kind != "f":
        return volume
    good: NDArray[np.bool_] = np.isfinite(volume.array)
    bad = int(good.size - np.count_nonzero(good))
    if not bad:
        return volume
    if bad == good.size:
        raise NothingToSeeError(
            f"The image '{volume.name}' holds no valid voxel.",
            "All of its values are infinite or not a number.",
            "Load the image again, or choose another one.",
        )
    low = volume.array[good].min()
    found = f"1 voxel of '{volume.name}' is" if bad == 1 else f"{bad} voxels of '{volume.name}' are"
    tell(f"{found} infinite or not a number; its lowest value, {low:g}, was used there.")
    return replace(volume, array=np.where(good, volume.array, low))


def _on_grid_of(first: Volume, other: Volume, tell: Tell) -> Volume:
    if first.same_grid(other):
        # The same to a micrometre is the same: the model's own check is stricter than any file format's rounding.
        return replace(other, affine=first.affine)
    if not _overlap(first, other):
        raise GeometryError(
            f"'{other.name}' and '{first.name}' do not lie in the same place.",
            f"'{first.name}' is {geometry(first)}; '{other.name}' is {geometry(other)}.",
            "Choose images of the same patient and the same part of the body, or register them first.",
        )
    tell(
        f"'{other.name}' ({geometry(other)}) was resampled to the grid of '{first.name}' ({geometry(first)}), "
        "by linear interpolation."
    )
    parts = (
        [other] if other.array.ndim == 3 else [replace(other, array=other.array[..., c]) for c in range(other.channels)]
    )
    moved = [resample(part, first.affine, first.shape) for part in parts]
    return moved[0] if other.array.ndim == 3 else replace(moved[0], array=np.stack([m.array for m in moved], axis=-1))


def _overlap(a: Volume, b: Volume) -> bool:
    """Whether each image reaches into the other's box."""

    def reaches(one: Volume, other: Volume) -> bool:
        to_index = np.linalg.inv(one.affine).astype(np.float64, copy=False)
        ijk = apply_affine(to_index, corners(other.affine, other.shape))
        size = np.array(one.shape[::-1])
        return bool((ijk.max(axis=0) >= -0.5).all() and (ijk.min(axis=0) <= size - 0.5).all())

    return reaches(a, b) and reaches(b, a)


def geometry(volume: Volume) -> str:
    """Grid, voxel size and centre of an image in words."""
    k, j, i = volume.shape
    spacing = " x ".join(f"{s:.3g}" for s in volume.spacing)
    center = ", ".join(f"{c:.0f}" for c in corners(volume.affine, volume.shape).mean(axis=0))
    return f"{i} x {j} x {k} voxels of {spacing} mm around RAS ({center}) mm"


def left_out(empty: list[int]) -> str:
    """The sentence on slices in which nothing can be seen."""
    if len(empty) == 1:
        return f"Nothing can be seen in slice {empty[0]}, which was left out."
    return f"Nothing can be seen in slices {_ranges(empty)}, which were left out."


def _ranges(numbers: list[int]) -> str:
    """``0 to 3, 7``"""
    runs = [[n for _, n in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
