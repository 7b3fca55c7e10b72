"""Visits brought together in physical space, so that the same voxel is the same place of the patient at each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from medai.engine.resample import resample_whole
from medai.errors import GeometryError, InputError, NothingToSeeError
from medai.result import Table
from medai.tasks.change.foreground import foreground, places, shared_information
from medai.tasks.change.morphology import Mask
from medai.tasks.change.motion import Motion, mean_pose
from medai.volume import Affine, Series, Volume, apply_affine

Step = Callable[[int, int], None]
_FARTHEST_DEG, _FARTHEST_MM = 60.0, 200.0  # a patient lies in a scanner; beyond this a registration has gone astray
_STILL = 0.1  # of a voxel: less than this is the registration's own error, and no reason to interpolate
_LEAST_OVERLAP = 0.3  # of the patient seen at the last visit
# Images of one patient share a quarter of their information, two contrasts of one patient about 0.15, those of two
# patients 0.05, noise nothing.
_LEAST_SHARED, _LITTLE_SHARED = 0.03, 0.1


@dataclass(frozen=True, eq=False)
class Aligned:
    """Visits on one grid.

    Parameters
    ----------
    series : Series
        The frames, float32, all on the same grid. It lies where the patient was at the last visit.
    motions : tuple of Motion
        How the patient lay at each visit, as seen from the last one.
    seen : ndarray of bool, shape (K, J, I)
        Voxels that lie inside the image of every visit; beyond it, a frame holds its lowest value.
    notes : tuple of str
        What a person should know.
    """

    series: Series
    motions: tuple[Motion, ...]
    seen: NDArray[np.bool_] = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def table(self) -> Table:
        """A row per visit: when, and how far the patient had moved."""
        columns: dict[str, tuple[object, ...]] = {
            "Visit": tuple(frame.name for frame in self.series.frames),
            "Date": tuple(frame.date.isoformat() if frame.date else "" for frame in self.series.frames),
            "Days": self.series.days or (None,) * len(self.motions),
            "Rotation (deg)": tuple(round(motion.rotation_deg, 3) for motion in self.motions),
            "Translation (mm)": tuple(round(motion.translation_mm, 3) for motion in self.motions),
            "Mean displacement (mm)": tuple(round(motion.displacement_mm, 3) for motion in self.motions),
            "Note": tuple(motion.note for motion in self.motions),
        }
        return Table(columns, "motion between visits")


def ignored(done: int, total: int) -> None:
    """For callers that do not listen."""


def align(series: Series, step: Step = ignored) -> Aligned:
    """Bring the frames of a series onto one grid, by a rigid registration of each to the last.

    The last visit, because it is the one that a person has before them and from which a forecast begins. The grid is
    that of the coarsest visit, and lies halfway between all visits (see `motion.mean_pose`), so that all are
    interpolated alike; finer frames are averaged over its voxels, so that all are equally sharp. Frames that share a
    grid, and whose patient did not move, stay as they are.

    Parameters
    ----------
    series : Series
        Scalar 3D images of one patient, on any grids.
    step : callable
        Hears of visits done and to do; may raise to cancel.

    Raises
    ------
    InputError
        When a frame has several channels or is one slice only, or shows nothing.
    GeometryError
        When two visits do not show the same part of the patient.
    """
    for frame in series.frames:
        _check(frame)
    last = series.frames[-1]
    patient = foreground(last)
    points = places(last, patient)
    motions = []
    for done, frame in enumerate(series.frames):
        step(done, len(series.frames))
        motions.append(Motion(np.eye(4)) if frame is last else _motion(last, frame, patient, points))
    step(len(series.frames), len(series.frames))
    return _together(series, motions, points)


def unmoved(series: Series) -> Aligned:
    """Frames on one grid as `align` brings them there, all taken to lie right already.

    Raises
    ------
    InputError
        As `align`.
    """
    for frame in series.frames:
        _check(frame)
    return _together(
        series, [Motion(np.eye(4))] * len(series.frames), places(series.frames[-1], foreground(series.frames[-1]))
    )


def onto(frame: Volume, motion: Motion, grid: Volume) -> tuple[Volume, NDArray[np.bool_]]:
    """A visit's image on a grid at the last visit's place, and which of its voxels the image covers."""
    values, inside = resample_whole(frame, motion.matrix @ grid.affine, grid.shape)
    return replace(frame, array=values, affine=grid.affine), inside


def _together(series: Series, motions: Sequence[Motion], points: NDArray[np.float64]) -> Aligned:
    """All frames on one grid."""
    last = series.frames[-1]
    notes = tuple(
        f"{_called(frame)}: {motion.note}" for frame, motion in zip(series.frames, motions, strict=True) if motion.note
    )
    still = all(motion.displacement_mm < _STILL * min(last.spacing) for motion in motions)
    if still and all(frame.same_grid(last) for frame in series.frames):
        frames = tuple(replace(frame, array=frame.array.astype(np.float32)) for frame in series.frames)
        return Aligned(replace(series, frames=frames), tuple(motions), np.ones(last.shape, bool), notes)
    grid = _grid(series.frames, motions, points.mean(axis=0))
    moved = [onto(frame, motion, grid) for frame, motion in zip(series.frames, motions, strict=True)]
    seen = np.logical_and.reduce([inside for _, inside in moved])
    return Aligned(replace(series, frames=tuple(frame for frame, _ in moved)), tuple(motions), seen, notes)


def _motion(fixed: Volume, moving: Volume, patient: Mask, points: NDArray[np.float64]) -> Motion:
    """From the last visit to another; none, with a note, when what was found is no better than that."""
    from medai.transforms.registration import rigid_between

    found = Motion.of(rigid_between(fixed, moving), points)
    before, after = (shared_information(fixed, moving, matrix, patient) for matrix in (np.eye(4), found.matrix))
    if max(before.shared, after.shared) < _LEAST_SHARED or max(before.overlap, after.overlap) < _LEAST_OVERLAP:
        raise GeometryError(
            f"{_called(moving)} and {_called(fixed)} could not be brought together.",
            f"They have too little in common: {max(before.overlap, after.overlap):.0%} of the patient is in both, "
            f"which share {max(before.shared, after.shared):.0%} of their information.",
            "Check that both are the same kind of image of the same part of the same patient.",
        )
    if found.rotation_deg > _FARTHEST_DEG or found.translation_mm > _FARTHEST_MM:
        why = f"turned by {found.rotation_deg:.0f} degrees and moved by {found.translation_mm:.0f} mm"
        return Motion.of(np.eye(4), points, f"left where it was: what was found ({why}) cannot be")
    if after.shared <= before.shared and after.overlap <= before.overlap:
        if found.displacement_mm < _STILL * min(fixed.spacing):
            return Motion(np.eye(4))
        return Motion.of(np.eye(4), points, "left where it was: no motion made it more like the last visit")
    if after.shared < _LITTLE_SHARED:
        return replace(found, note="it is not much like the last visit; is it the same patient and kind of image?")
    return found


def _grid(frames: Sequence[Volume], motions: Sequence[Motion], centre: NDArray[np.float64]) -> Volume:
    """A grid at the last visit's place, halfway between all visits. Only its affine and shape count."""
    coarsest = max(range(len(frames)), key=lambda n: (round(frames[n].voxel_volume_ml, 9), n))
    frame, matrix = frames[coarsest], motions[coarsest].matrix
    pose = mean_pose([motion.matrix for motion in motions], centre)
    # The coarsest visit's grid, in the space in the middle, moved by whole voxels until it covers the patient.
    at_middle = apply_affine(pose, centre[np.newaxis])[0] - apply_affine(matrix, centre[np.newaxis])[0]
    affine = frame.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ np.round(np.linalg.solve(affine[:3, :3], at_middle))
    placed: Affine = np.linalg.inv(pose) @ affine
    return replace(frame, affine=placed)


def _check(frame: Volume) -> None:
    if frame.channels > 1 or min(frame.shape) < 4:
        raise InputError(
            f"{_called(frame)} cannot be aligned.",
            f"It has {frame.channels} values per voxel." if frame.channels > 1 else "It has fewer than four slices.",
            "Choose three-dimensional images with one value per voxel for all visits.",
        )
    values = np.asarray(frame.array)
    finite = np.isfinite(values)
    if not finite.any() or values[finite].min() == values[finite].max():
        raise NothingToSeeError(
            f"{_called(frame)} shows nothing.",
            "All of its voxels have the same value, or none is a number.",
            "Choose another image for this visit.",
        )


def _called(frame: Volume) -> str:
    return f"The visit '{frame.name}'" + (f" of {frame.date.isoformat()}" if frame.date else "")
