"""How far a patient has moved between two visits, and where between the visits nobody has moved more than another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from medai.volume import Affine, apply_affine

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Motion:
    """A rigid motion of the patient.

    Parameters
    ----------
    matrix : ndarray, shape (4, 4)
        Points of the last visit to the same points of this one, RAS mm.
    rotation_deg : float
        Angle about the motion's own axis, degrees.
    translation_mm : float
        How far the middle of the patient has moved.
    displacement_mm : float
        How far the patient has moved on average, over everything that is no air.
    note : str
        What went wrong, when the images were left where they were.
    """

    matrix: Affine = field(repr=False)
    rotation_deg: float = 0.0
    translation_mm: float = 0.0
    displacement_mm: float = 0.0
    note: str = ""

    @classmethod
    def of(cls, matrix: Affine, points: Points, note: str = "") -> Motion:
        """A matrix's motion of points of shape (N, 3)."""
        turned = np.clip((np.trace(matrix[:3, :3]) - 1) / 2, -1, 1)
        moved = apply_affine(matrix, points) - points
        return cls(
            matrix,
            float(np.degrees(np.arccos(turned))),
            float(np.linalg.norm(moved.mean(axis=0))),
            float(np.linalg.norm(moved, axis=1).mean()),
            note,
        )


def mean_pose(motions: Sequence[Affine], centre: NDArray[np.float64]) -> Affine:
    """The rigid motion from the last visit to the middle of all visits.

    Images that are brought there are interpolated alike. On the grid of one visit the others alone would be blurred,
    which looks like change (Reuter & Fischl, NeuroImage 2011, doi 10.1016/j.neuroimage.2011.02.076).

    Parameters
    ----------
    motions : sequence of ndarray, shape (4, 4)
        From the last visit to each, itself (no motion) included.
    centre : ndarray, shape (3,)
        Middle of the patient at the last visit, RAS mm.

    Returns
    -------
    ndarray, shape (4, 4)
        The mean of the rotations (Markley et al. 2007, doi 10.2514/1.28949) about the mean of the places of `centre`.
    """
    # The mean of rotations as matrices, brought back to the nearest rotation, is Markley's mean of quaternions.
    left, _, right = np.linalg.svd(np.mean([motion[:3, :3] for motion in motions], axis=0))
    rotation = left @ np.diag([1.0, 1.0, np.linalg.det(left @ right)]) @ right
    place = np.mean([apply_affine(motion, centre[np.newaxis])[0] for motion in motions], axis=0)
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, place - rotation @ centre
    return pose
