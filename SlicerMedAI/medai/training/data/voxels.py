"""Voxels of a case's images, wherever they are, and their content hash."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from medai.errors import GeometryError, ReadError
from medai.files import read
from medai.training.data.item import ArrayReference, Source
from medai.training.data.stacked import stacked_image
from medai.volume import Series, Volume


def read_source(source: Source) -> Volume:
    """The image, frames of a series as components.

    Parameters
    ----------
    source : Path or ArrayReference

    Returns
    -------
    Volume
        (K, J, I) or (K, J, I, C).

    Raises
    ------
    ReadError, InputError, GeometryError
        As `medai.files.read` and `medai.training.data.stacked.stacked_image`; `GeometryError` also when the frames of
        a series lie in different places.
    """
    if isinstance(source, ArrayReference):
        return stacked_image(source)
    if source.exists() and not (source.is_file() or source.is_dir()):  # a pipe or device would be waited for
        raise ReadError(f"'{source.name}' is no image.", "It is no ordinary file.", "Choose an image file.")
    image = read(source)
    return image if isinstance(image, Volume) else _channels(image)


def _channels(series: Series) -> Volume:
    first = series.frames[0]
    if not all(first.same_grid(frame) and frame.channels == 1 for frame in series.frames):
        raise GeometryError(
            f"The frames of '{series.name}' do not lie in the same place.",
            "A network takes them as channels of one image.",
            "Resample them to one grid first.",
        )
    array = np.stack([frame.array for frame in series.frames], axis=-1)
    return Volume(array, first.affine, series.name, first.modality, series.id, first.notes)


def voxel_digest(volumes: Sequence[Volume]) -> str:
    """SHA-256 of the grid and the numbers in it, whatever file format or number type holds them.

    Geometry is left out: the same picture under another header is the same picture.
    """
    digest = hashlib.sha256()
    for volume in volumes:
        digest.update(repr((*volume.shape, volume.channels)).encode())
        for plane in volume.array:  # plane by plane: a whole CT as 64-bit numbers may not fit
            # -0.0 is equal to 0.0 but has other bits.
            digest.update((plane.astype("<f8") + 0.0).tobytes())
    return digest.hexdigest()
