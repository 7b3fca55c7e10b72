"""A few boxes that a detector's guesses begin with, from the boxes of the data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medai.errors import InputError
from medai.training.data import DataList, DataReport

COUNT = {2: 5, 3: 4}
_STEMS = (8, 4, 2)


def anchor_shapes(
    data: DataList, report: DataReport, patch: Sequence[int], spacing: Sequence[float] | None
) -> tuple[tuple[int, ...], ...]:
    """Middles of clusters of the training boxes' edges (k-means of their logarithms), the smallest first.

    Parameters
    ----------
    data : DataList
        The training part, with boxes in voxels of the images' files.
    report : DataReport
        Tells the sizes of these images.
    patch : sequence of int
        Pictures are brought to its longest edge.
    spacing : sequence of float or None
        mm that volumes are resampled to; None for pictures.

    Returns
    -------
    tuple of tuple of int
        Edges in voxels of the image that the network sees, for images of median size and spacing. How volumes are
        turned is not taken into account: anchors need to be near the boxes, not to be the boxes.

    Raises
    ------
    InputError
        When there is no box in the training part.
    """
    from sklearn.cluster import KMeans  # type: ignore[import-untyped]

    boxes = [box for item in data for box in _boxes(item.values.get("box"))]
    if not boxes:
        raise InputError(
            "A detector cannot be learned from these data.",
            "There is no box around anything, nor a mask to make boxes of.",
            "Choose data with boxes or masks, or another task.",
        )
    image, count = report.images["image"], len(patch)
    ends = np.asarray(boxes, np.float64).reshape(len(boxes), 2, -1)[..., :count]
    if spacing is None:
        scale = np.full(count, max(patch) / max(axis.median for axis in image.size))
    else:
        scale = np.array([axis.median for axis in image.spacing]) / np.asarray(spacing)
    edges = np.log(np.maximum(np.ptp(ends, axis=1) * scale, 1.0))
    clusters = min(COUNT[count], len(np.unique(edges, axis=0)))
    middles = np.exp(KMeans(clusters, n_init=10, random_state=0).fit(edges).cluster_centers_)
    # Even edges, for MONAI rounds their halves.
    shapes = {tuple(int(edge) for edge in np.maximum(np.round(middle / 2), 1) * 2) for middle in middles}
    return tuple(sorted(shapes, key=lambda shape: (np.prod(shape), shape)))


def fitting_stem(anchors: Sequence[Sequence[int]]) -> int:
    """How much smaller than the image the network's map of guesses may be: the smallest findings have one each."""
    smallest = float(np.exp(np.log(np.asarray(anchors[0], np.float64)).mean()))
    return next((stem for stem in _STEMS if stem <= smallest), _STEMS[-1])


def _boxes(value: object) -> tuple[tuple[float, ...], ...]:
    return value if isinstance(value, tuple) else ()
