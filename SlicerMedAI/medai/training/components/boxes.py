"""Boxes that move with their image, through every change of it that MONAI keeps account of."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.data.utils import to_affine_nd
from monai.transforms import MapTransform
from numpy.typing import NDArray

from medai.training.components.names import BOX, LABEL

GRID = "box_affine"
"""Key of the affine of the grid on which the boxes are given; that of the image's file where there is none."""

_ORIGINAL = "original_affine"


class BoxesOnGrid(MapTransform):  # type: ignore[misc]
    """Bring boxes from the grid they were on to the one that the image has now.

    MONAI's affine of the image tells what has happened to it since: turning, resampling, cropping, padding, flips,
    random rotation and scaling. A box is taken for the ellipsoid that touches its sides, as lesions rather are than
    boxes: where axes stay axes that is the box itself, and a box that is turned does not grow by its empty corners.

    Parameters
    ----------
    smallest : float
        Voxels. Boxes with an edge shorter than this are left out: nothing of them is left to see.
    least : float
        Share of a box inside the image below which it is left out.
    """

    def __init__(self, smallest: float = 2.0, least: float = 0.3) -> None:
        super().__init__(BOX)
        self.smallest, self.least = smallest, least

    def __call__(self, data: Mapping[Any, Any]) -> dict[Hashable, Any]:
        """Dictionary with boxes (N, 4) or (N, 6), from the lowest to just below the highest voxel, and labels (N,)."""
        moved = dict(data)
        image: MetaTensor = moved["image"]
        dimensions = image.ndim - 1
        before, now = (_affine(a, dimensions) for a in (moved.get(GRID, image.meta[_ORIGINAL]), image.affine))
        step = np.linalg.inv(now) @ before
        # Voxel centres are at whole numbers for an affine, and half a voxel into the first one for a box.
        boxes = np.asarray(moved[BOX], np.float64).reshape(-1, 2, dimensions) - 0.5
        centers = boxes.mean(axis=1) @ step[:-1, :-1].T + step[:-1, -1] + 0.5
        halves = np.sqrt((np.ptp(boxes, axis=1) / 2) ** 2 @ (step[:-1, :-1] ** 2).T)
        whole = np.stack([centers - halves, centers + halves], axis=1)
        ends = whole.clip(0, image.shape[1:])
        edges = np.ptp(ends, axis=1)
        kept = (edges >= self.smallest).all(axis=1) & (edges.prod(axis=1) >= self.least * (2 * halves).prod(axis=1))
        moved[BOX] = torch.from_numpy(ends[kept].reshape(-1, 2 * dimensions).astype(np.float32))
        moved[LABEL] = torch.as_tensor(np.asarray(moved[LABEL], np.int64).reshape(-1)[kept])
        moved[GRID] = now
        return moved


class BoxesStay(MapTransform):  # type: ignore[misc]
    """Say that boxes are on the grid that the image has now, after a transform that moved them itself."""

    def __init__(self) -> None:
        super().__init__(BOX)

    def __call__(self, data: Mapping[Any, Any]) -> dict[Hashable, Any]:
        """The dictionary."""
        image: MetaTensor = data["image"]
        return {**data, GRID: _affine(image.affine, image.ndim - 1)}


class BoxesAtCenters(MapTransform):  # type: ignore[misc]
    """The last step: boxes whose whole numbers are voxel centres, as an affine has them.

    So an affine brings what the detector finds into the world without half a voxel's error.
    """

    def __init__(self) -> None:
        super().__init__(BOX)

    def __call__(self, data: Mapping[Any, Any]) -> dict[Hashable, Any]:
        """Image, boxes and labels, and nothing else."""
        return {"image": data["image"], BOX: data[BOX] - 0.5, LABEL: data[LABEL], "name": data.get("name", "")}


def _affine(matrix: Any, dimensions: int) -> NDArray[np.float64]:
    found = to_affine_nd(dimensions, np.asarray(torch.as_tensor(matrix).cpu(), np.float64))
    return np.asarray(found, np.float64)
