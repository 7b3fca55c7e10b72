"""Which of several boxes around the same thing is kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from monai.data.box_utils import non_max_suppression
from numpy.typing import NDArray

from medai.result import Boxes
from medai.volume import Region


def without_doubles(found: Boxes, largest_overlap: float) -> Boxes:
    """The boxes, those of the highest score first, without those that overlap a better one of their class.

    Parameters
    ----------
    found : Boxes
        Of one image, so with the same axes.
    largest_overlap : float
        Of two boxes, intersection over union in mm, above which the weaker one is left out.
    """
    scores = np.asarray(found.scores, np.float64)
    corners = _corners(found.regions)
    kept: list[int] = []
    for name in dict.fromkeys(found.classes):
        own = np.flatnonzero([other == name for other in found.classes])
        boxes, weights = torch.from_numpy(corners[own]), torch.from_numpy(scores[own])
        kept += own[np.asarray(non_max_suppression(boxes, weights, largest_overlap))].tolist()
    kept.sort(key=lambda n: (-scores[n], n))
    return chosen(found, kept)


def chosen(found: Boxes, numbers: Sequence[int]) -> Boxes:
    """Some of the boxes, in the order of their numbers."""
    return Boxes(
        tuple(found.regions[n] for n in numbers),
        tuple(found.scores[n] for n in numbers),
        tuple(found.classes[n] for n in numbers),
        found.name,
    )


def _corners(regions: Sequence[Region]) -> NDArray[np.float64]:
    """Lowest and highest corner of each in mm along the axes that all share, shape (N, 6).

    Overlap is a ratio of volumes, which axes that are not at right angles (of a sheared image) leave as it is.
    """
    if not regions:
        return np.empty((0, 6))
    to_axes = np.linalg.inv(regions[0].axes)
    centers = np.array([to_axes @ region.center for region in regions])
    halves = np.array([region.size for region in regions]) / 2
    return np.concatenate([centers - halves, centers + halves], axis=1)
