"""Boxes as rows of numbers, for metrics that compare many of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from medai.errors import GeometryError, InputError
from medai.result import Boxes

_PARALLEL = 1e-3
"""Radian. Boxes of one image share their axes up to rounding."""


@dataclass(frozen=True, eq=False)
class BoxArray:
    """Axis-aligned boxes of one image.

    Parameters
    ----------
    corners : array_like, shape (N, 4) or (N, 6)
        Lowest, then highest corner: ``x0, y0, x1, y1`` or ``x0, y0, z0, x1, y1, z1``. In any frame, RAS mm or voxels
        (i, j, k), as long as it is the same for reference and prediction. Shape (0, 4) or (0, 6) without any box.
    classes : sequence of str
        Name of each box's class.
    scores : sequence of float, optional
        Confidence of each; 1 for reference boxes.
    """

    corners: NDArray[np.float64]
    classes: tuple[str, ...]
    scores: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        corners = np.asarray(self.corners, dtype=np.float64)
        corners = corners.reshape(-1, corners.shape[-1] if corners.ndim == 2 and corners.shape[-1] in (4, 6) else 6)
        classes = tuple(str(c) for c in self.classes)
        scores = np.asarray(self.scores, dtype=np.float64)
        scores = scores if scores.size else np.ones(len(corners))
        if not len(corners) == len(classes) == len(scores) or scores.ndim != 1:
            raise InputError(
                "The boxes cannot be compared.",
                f"There are {len(corners)} boxes, {len(classes)} classes and {len(scores)} scores.",
                "Give every box one class and one score.",
            )
        half = corners.shape[1] // 2
        finite = np.isfinite(corners).all() and np.isfinite(scores).all()
        if not finite or (corners[:, half:] < corners[:, :half]).any():
            raise InputError(
                "The boxes cannot be compared.",
                "A corner or score is not a finite number, or a box ends before it begins.",
                "Give each box as its lowest and its highest corner.",
            )
        for name, value in (("corners", corners), ("classes", classes), ("scores", scores)):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.corners)

    @property
    def dimensions(self) -> int:
        """2 or 3."""
        return int(self.corners.shape[1] // 2)

    @classmethod
    def of(cls, boxes: Boxes, axes: NDArray[np.float64] | None = None) -> BoxArray:
        """Boxes in RAS mm along common axes.

        Parameters
        ----------
        boxes : Boxes
            A detection result, or reference boxes.
        axes : ndarray, shape (3, 3), optional
            Columns are unit axes in RAS, the image's own when it is oblique; those of the first box, or RAS without
            any box. Use the same for reference and prediction.

        Raises
        ------
        GeometryError
            When a box is turned against `axes`, so that its overlap with others cannot be computed exactly.
        """
        frame = axes if axes is not None else common_axes((boxes,))
        corners = np.empty((len(boxes.regions), 6))
        for n, region in enumerate(boxes.regions):
            local = frame.T @ region.axes
            if np.abs(np.sort(np.abs(local), axis=0)[:2]).max() > _PARALLEL:
                raise GeometryError(
                    "The boxes cannot be compared.",
                    f"Box {n + 1} of '{boxes.name}' is turned against the others.",
                    "Use boxes along the axes of one image.",
                )
            center, half = frame.T @ region.center, np.abs(local) @ region.size / 2
            corners[n] = *(center - half), *(center + half)
        return cls(corners, boxes.classes, np.asarray(boxes.scores))


def common_axes(found: Sequence[Boxes]) -> NDArray[np.float64]:
    """Axes of the first box there is; those of RAS without any."""
    return next((region.axes for boxes in found for region in boxes.regions), np.eye(3))
