"""New values for an image, in its own type and on its own grid."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medai.engine.resample import resample
from medai.volume import Volume

# NIfTI's and MONAI's rounding of an affine is far below this share of a voxel; any real change of grid is far above.
_TOLERANCE = 0.02
# Resampling and clipping change the slope of intensities a little; a scale of a model's own is far from the image's.
_SAME_SCALE = 2.0
_ENOUGH_VOXELS = 100_000


def exact(array: NDArray[np.generic]) -> NDArray[Any]:
    """The same numbers as floats that hold every one of them: single precision where that is enough."""
    wide = array.dtype.itemsize >= 4 and array.dtype != np.float32
    return array.astype(np.float64 if wide else np.float32)


def like(values: NDArray[Any], image: Volume, name: str) -> Volume:
    """Values as an image of the type and place of another.

    Whole numbers are rounded, and kept in the range of their type. An image without negative values stays without.

    Parameters
    ----------
    values : ndarray of floats, shape of ``image.array``
    image : Volume
        What they belong to.
    name : str
        What a person calls the result.
    """
    dtype: np.dtype[Any] = image.array.dtype
    if image.array.min() >= 0:
        values = np.maximum(values, 0)
    if dtype.kind == "b":
        values = values >= 0.5
    elif dtype.kind in "iu":
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        # The largest numbers of 64 bits are no floats: the next float would be too large for the type.
        top = float(high) if int(float(high)) <= high else float(np.nextafter(float(high), 0))
        values = np.clip(np.rint(values), low, top)
    return Volume(np.ascontiguousarray(values.astype(dtype, copy=False)), image.affine, name, image.modality)


def onto(found: Volume, image: Volume, *, outside: float = 0.0) -> NDArray[np.floating[Any]]:
    """Values of one image at the voxels of another, interpolated linearly where the grids differ.

    Parameters
    ----------
    found : Volume
        Whose values.
    image : Volume
        On whose grid.
    outside : float
        What there is where `found` does not reach.

    Returns
    -------
    ndarray, shape (K, J, I) or (K, J, I, C)
    """
    if found.same_grid(image, _TOLERANCE * min(image.spacing)):
        return np.asarray(found.array, dtype=np.float32)
    parts = [found] if found.array.ndim == 3 else [replace(found, array=c) for c in np.moveaxis(found.array, -1, 0)]
    moved = [resample(part, image.affine, image.shape, outside=outside).array for part in parts]
    return np.asarray(moved[0] if found.array.ndim == 3 else np.stack(moved, axis=-1), dtype=np.float32)


def scale_of(image: Volume, seen: Volume) -> tuple[float, float]:
    """The straight line that leads from a model's intensities back to the image's.

    Parameters
    ----------
    image : Volume
        As it was given.
    seen : Volume
        The same image as a model gives it when its network changes nothing.

    Returns
    -------
    slope, offset : float
        1 and 0 where the model gives images on the scale on which it gets them.
    """
    given = np.asarray(onto(image, seen, outside=float(image.array.min())), np.float64).ravel()
    model = np.asarray(seen.array, np.float64).ravel()
    step = max(len(given) // _ENOUGH_VOXELS, 1)
    given, model = given[::step], model[::step]
    apart = model - model.mean()
    spread = float(apart @ apart)
    slope = float((given - given.mean()) @ apart) / spread if spread else 1.0
    if 1 / _SAME_SCALE < slope < _SAME_SCALE:
        return 1.0, 0.0
    return slope, float(given.mean() - slope * model.mean())
