"""From what a bundle would have written to a file to labels on the input image's own grid."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medai.bundles.memory_io import Saved
from medai.errors import BundleError
from medai.result import Labelmap, Segment, label_counts
from medai.volume import Affine, Volume, apply_affine, corners

# Colours for structures that the model's description does not name; the same structure always gets the same one.
_SPARE_COLORS = ((0.50, 0.68, 0.50), (0.95, 0.84, 0.57), (0.69, 0.48, 0.40), (0.44, 0.72, 0.82), (0.85, 0.40, 0.31))


@dataclass(frozen=True, eq=False)
class Prediction:
    """Labels on a grid.

    Parameters
    ----------
    array : ndarray of unsigned integers, shape (K, J, I) or (L, K, J, I)
        One labelmap, or one mask of zeros and ones per output channel of a multi-label model.
    affine : ndarray, shape (4, 4)
        (i, j, k, 1) to RAS mm: the input's own.
    resampled : bool
        Whether the bundle left its result on another grid, so that it had to be brought back here.
    channel_values : tuple of int
        The label that each channel of the network became, where the bundle merges overlapping channels into one
        labelmap; empty where labels are the numbers of channels.
    """

    array: NDArray[np.unsignedinteger]
    affine: Affine
    resampled: bool = False
    channel_values: tuple[int, ...] = ()

    @property
    def multilabel(self) -> bool:
        """Whether structures may overlap."""
        return self.array.ndim == 4


def to_prediction(saved: Saved, reference: Volume) -> Prediction:
    """Bring a saved image back onto the grid of `reference`, as labels.

    Raises
    ------
    BundleError
        When the values are not labels.
    """
    labels = smallest_unsigned(saved.array)
    resampled = not _on_grid(saved, reference)
    if resampled:
        labels = _resample_nearest(labels, saved.affine, reference)
    # (I, J, K, C) to (C, K, J, I): a view, then one copy into the order everybody else uses.
    layers = np.ascontiguousarray(labels.transpose(3, 2, 1, 0))
    return Prediction(layers[0] if len(layers) == 1 else layers, reference.affine, resampled)


def to_volume(saved: Saved, name: str) -> Volume:
    """A saved image as a volume on its own grid, (K, J, I) or (K, J, I, C)."""
    array = np.ascontiguousarray(saved.array.transpose(2, 1, 0, 3))
    return Volume(array[..., 0] if array.shape[3] == 1 else array, saved.affine, name)


def smallest_unsigned(array: NDArray[Any]) -> NDArray[np.unsignedinteger]:
    """The same whole numbers in as few bytes as they need.

    Raises
    ------
    BundleError
        When a value is negative or not a whole number.
    """
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "b":
        return array.view(np.uint8)
    low, high = array.min(), array.max()
    problem = "" if low >= 0 and high < 2**32 else f"They range from {low:g} to {high:g}"
    if not problem:
        labels: NDArray[np.unsignedinteger] = array.astype(np.min_scalar_type(int(high)))
        if array.dtype.kind != "f" or np.array_equal(labels, array):
            return labels
        problem = "Some are fractions, such as probabilities"
    raise BundleError(
        "The model's result cannot be shown as a segmentation.",
        f"The values it gives are not labels. {problem}.",
        "Use a model for segmentation whose own post-processing ends in labels.",
    )


def _on_grid(saved: Saved, reference: Volume) -> bool:
    i, j, k = saved.array.shape[:3]
    if (k, j, i) != reference.shape:
        return False
    apart = corners(saved.affine, reference.shape) - corners(reference.affine, reference.shape)
    # NIfTI's and MONAI's rounding is far below this; any real change of grid is far above.
    return bool(np.abs(apart).max() <= 0.02 * min(reference.spacing))


def _resample_nearest(labels: NDArray[Any], affine: Affine, reference: Volume) -> NDArray[Any]:
    """Nearest neighbour in patient space; 0 beyond the labels. (I, J, K, C) in and out."""
    to_index = np.linalg.inv(affine) @ reference.affine
    depth, height, width = reference.shape
    moved = np.zeros((width, height, depth, labels.shape[3]), labels.dtype)
    size = np.array(labels.shape[:3])
    ij = np.stack(np.meshgrid(np.arange(width), np.arange(height), indexing="ij"), axis=-1).reshape(-1, 2)
    for k in range(depth):  # slice by slice: the coordinates of a whole head take gigabytes
        points = np.column_stack([ij, np.full(len(ij), k)]).astype(np.float64)
        # A hair above exact halves, so that rounding noise cannot decide between two voxels.
        index = np.floor(apply_affine(to_index, points) + 0.5 + 1e-6).astype(np.int64)
        inside = ((index >= 0) & (index < size)).all(axis=1)
        x, y, z = index[inside].T
        moved[ij[inside, 0], ij[inside, 1], k] = labels[x, y, z]
    return moved


def to_labelmap(prediction: Prediction, segments: Iterable[Segment], name: str) -> Labelmap:
    """Name the labels.

    Structures the model's description does not name, but the model found, are called "Label 7" rather than lost.

    Parameters
    ----------
    prediction : Prediction
        On the input's grid.
    segments : iterable of Segment
        As the bundle's description has them: for a multi-label model one per output channel, in order.
    name : str
        What a person calls the result.
    """
    named = tuple(segments)
    if prediction.multilabel:
        channels = _by_channel(named, len(prediction.array))
        array = _binary(prediction.array[list(channels)])
        chosen = tuple(replace(s, value=1, layer=layer) for layer, s in enumerate(channels.values()))
        return Labelmap(array, prediction.affine, chosen, name)
    if len(named) > 1 and any(segment.layer for segment in named):
        # Described channel by channel, none called background, but written as one labelmap: argmax gives the channel.
        values = prediction.channel_values or range(len(named))
        named = tuple(replace(s, value=values[s.layer], layer=0) for s in named if s.layer < len(values))
        named = tuple(segment for segment in named if segment.value)
    array = prediction.array
    known = {segment.value for segment in named}
    present = np.flatnonzero(label_counts(array))
    if known == {1} and list(present[present > 0]) == [255]:
        array, present = _binary(array), present[:0]
    extra = tuple(_spare(int(value)) for value in present if value and value not in known)
    return Labelmap(array, prediction.affine, named + extra, name)


def _by_channel(named: tuple[Segment, ...], count: int) -> dict[int, Segment]:
    """The segment of every output channel that shows one; a background channel shows none."""
    if any(segment.layer for segment in named):
        known = {segment.layer: segment for segment in named}
        first = 0
    else:
        # Values below the number of channels leave channel 0 to the background.
        first = 1 if named and max(segment.value for segment in named) < count else 0
        known = {segment.value - 1 + first: segment for segment in named}
    return {n: known.get(n) or _spare(n + 1) for n in range(first, count)}


def _binary(array: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
    # Some bundles write 255 for "yes".
    return array if array.max() <= 1 else (array != 0).astype(np.uint8)


def _spare(number: int) -> Segment:
    return Segment(f"Label {number}", number, _SPARE_COLORS[number % len(_SPARE_COLORS)])
