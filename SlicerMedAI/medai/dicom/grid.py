"""Slices into a regular grid, or the reason why they are none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medai.dicom.slices import Slice, Vector
from medai.errors import GeometryError, InputError
from medai.files.itk import LPS_TO_RAS
from medai.volume import Affine

_DIRECTION = 1e-3
"""Largest difference of direction cosines within a series (0.06 degrees)."""
_EVEN = 0.1
"""Largest deviation of a slice from its place, in slice distances: scanners round positions."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Slices of a series in place.

    Parameters
    ----------
    frames : tuple of tuple of Slice
        For every frame its slices along k.
    affine : ndarray, shape (4, 4)
        (i, j, k) to RAS in mm.
    """

    frames: tuple[tuple[Slice, ...], ...]
    affine: Affine


def grid_of(slices: list[Slice], name: str) -> Grid:
    """Sort slices by their place along the normal, and those at the same place into frames.

    Gantry tilt gives a sheared grid, as it should. The normal points from rows to columns by the right-hand rule.

    Raises
    ------
    GeometryError
        When slices differ in size, spacing or orientation, when one is missing, or when they are shifted.
    InputError
        When several pictures have no position.
    """
    first = slices[0]
    if any((s.rows, s.columns) != (first.rows, first.columns) for s in slices):
        sizes = sorted({f"{s.columns}x{s.rows}" for s in slices})
        raise _irregular(name, f"Its slices differ in size ({', '.join(sizes)} pixels).")
    if any(not np.allclose(s.spacing, first.spacing, rtol=1e-3) for s in slices):
        raise _irregular(name, "Its slices differ in pixel spacing.")
    placed = [s for s in slices if s.position is not None and s.axes is not None]
    if not placed:
        return _pictures(slices, name)
    if len(placed) < len(slices):
        raise _irregular(name, f"{len(slices) - len(placed)} of its {len(slices)} slices do not say where they lie.")
    axes = _axes(first)
    if any(np.abs(_axes(s) - axes).max() > _DIRECTION for s in slices):
        raise _irregular(name, "Its slices are oriented differently, as in a localizer.")
    normal = np.cross(axes[0], axes[1])
    places = _places(slices, normal, 0.02 * min(first.spacing))
    counts = {len(place) for place in places}
    if len(counts) > 1:
        short = min(places, key=len)
        raise GeometryError(
            f"The series '{name}' is incomplete.",
            f"{max(counts)} images are needed at every position, but there are {len(short)} at {_where(short[0])}.",
            "Export the whole series again from the scanner or archive.",
        )
    step = _step(places, normal, name)
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1], lps[:3, 2] = axes[0] * first.spacing[0], axes[1] * first.spacing[1], step
    lps[:3, 3] = places[0][0].position
    ordered = [sorted(place, key=lambda s: s.order) for place in places]
    return Grid(tuple(zip(*ordered, strict=True)), LPS_TO_RAS @ lps)


def _pictures(slices: list[Slice], name: str) -> Grid:
    """Pictures without a position: one, or the frames of one file, each in the plane k = 0."""
    first = slices[0]
    if len({s.path for s in slices}) > 1:
        raise InputError(
            f"The series '{name}' is no volume.",
            f"It consists of {len(slices)} pictures that do not say where they lie in the patient.",
            "Choose one of the files.",
        )
    affine = LPS_TO_RAS @ np.diag([*first.spacing, first.thickness or 1.0, 1.0])
    return Grid(tuple((s,) for s in sorted(slices, key=lambda s: s.frame)), affine)


def _axes(one: Slice) -> Vector:
    assert one.axes is not None
    return one.axes


def _position(one: Slice) -> Vector:
    assert one.position is not None
    return one.position


def _places(slices: list[Slice], normal: Vector, tolerance: float) -> list[list[Slice]]:
    """Slices grouped by their position along the normal, ascending."""
    places: list[list[Slice]] = []
    for one in sorted(slices, key=lambda s: float(_position(s) @ normal)):
        if places and abs(float((_position(one) - _position(places[-1][0])) @ normal)) <= tolerance:
            places[-1].append(one)
        else:
            places.append([one])
    return places


def _step(places: list[list[Slice]], normal: Vector, name: str) -> Vector:
    """Vector from one slice to the next, LPS mm."""
    first = places[0][0]
    if len(places) == 1:
        return np.asarray(normal * (first.thickness or 1.0))
    positions = np.array([_position(place[0]) for place in places])
    distances = np.diff(positions @ normal)
    usual = float(np.median(distances))
    if len(distances) > 1:
        worst = int(np.argmax(np.abs(distances - usual)))
        if abs(distances[worst] - usual) > _EVEN * usual:
            raise _uneven(name, places[worst][0], places[worst + 1][0], float(distances[worst]), usual)
    step = (positions[-1] - positions[0]) / (len(places) - 1)
    shifts = np.linalg.norm(positions - positions[0] - np.arange(len(places))[:, np.newaxis] * step, axis=1)
    if shifts.max() > max(_EVEN * usual, 0.5 * min(first.spacing)):
        raise _irregular(name, f"Its slice at {_where(places[int(shifts.argmax())][0])} is shifted against the others.")
    return np.asarray(step)


def _uneven(name: str, low: Slice, high: Slice, distance: float, usual: float) -> GeometryError:
    between = f"{_where(low)} and {_where(high)}"
    if distance > 1.5 * usual:
        count = round(distance / usual) - 1
        missing = "a slice is missing" if count <= 1 else f"{count} slices are missing"
        return GeometryError(
            f"The series '{name}' is incomplete.",
            f"Between {between} {missing}: the distance is {distance:.2f} mm instead of {usual:.2f} mm.",
            "Export the whole series again from the scanner or archive.",
        )
    return _irregular(
        name, f"Its slices are unevenly spaced: {distance:.2f} mm between {between}, {usual:.2f} mm elsewhere."
    )


def _irregular(name: str, why: str) -> GeometryError:
    return GeometryError(
        f"The series '{name}' is no regular volume.",
        why,
        "Choose another series, or load this one into Slicer, which can regularize it, and save it as NRRD.",
    )


def _where(one: Slice) -> str:
    """A position as the scanner shows it: along the body axis that is closest to the slice's normal, in mm."""
    axis = int(np.abs(np.cross(*_axes(one))).argmax())
    return f"{'LPS'[axis]} {_position(one)[axis]:.1f} mm"
