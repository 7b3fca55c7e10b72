"""Lesions, or structures that a model knows, that have grown, shrunk, come or gone between two visits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from medai.result import Code, Labelmap, Segment, Table
from medai.tasks.change.difference import Difference
from medai.tasks.change.morphology import Mask, moved_edge, pieces
from medai.volume import Volume, apply_affine

NEW, GROWN, SHRUNK, GONE, UNCHANGED = "new", "grown", "shrunk", "gone", "unchanged"
BRIGHTER, DARKER = "brighter", "darker"

_COLORS = {
    NEW: (0.9, 0.1, 0.1),
    GROWN: (1.0, 0.55, 0.1),
    SHRUNK: (0.2, 0.5, 1.0),
    GONE: (0.1, 0.8, 0.3),
    UNCHANGED: (0.8, 0.8, 0.8),
    BRIGHTER: (1.0, 0.3, 0.2),
    DARKER: (0.2, 0.4, 1.0),
}
_BY_MASKS = (NEW, GROWN, SHRUNK, GONE, UNCHANGED)
_ALTERED = Code("SCT", "49755003", "Morphologically Altered Structure")
LESION = Segment("lesion", 1, category=_ALTERED, type=Code("SCT", "52988006", "Lesion"))
"""What is outlined where nobody says what it is."""
_NEIGHBOUR_MM = 1.5  # outlines of the same lesion at two visits differ by this much
_HYPERINTENSE = 2.5  # SD above the middle of the tissue is a lesion; 1 is still what some grey matter has
_SUSPECT = 1.0
_FOOT = 0.3  # of its height
_LEAST_REST_MM3 = 10.0
_REACH = 0.5  # of the threshold


class _Piece(NamedTuple):
    """One lesion, or one piece of a structure: its name, what became of it, mL before, after and between, its place."""

    name: str
    kind: str
    before: float | None
    after: float | None
    change: float
    here: Mask


@dataclass(frozen=True, eq=False)
class Outlines:
    """What was outlined at both visits, on the grid of the comparison.

    Parameters
    ----------
    segment : Segment
        What it is: `LESION`, or a structure that a model knows.
    before, after : ndarray of float32, shape (K, J, I)
        Share of every voxel, 0 to 1, that belongs to it.
    """

    segment: Segment
    before: NDArray[np.float32] = field(repr=False)
    after: NDArray[np.float32] = field(repr=False)

    @property
    def either(self) -> Mask:
        """Voxels of it at either visit."""
        return np.asarray(np.maximum(self.before, self.after) >= 0.5)


@dataclass(frozen=True, eq=False)
class Lesions:
    """What was found on the grid of the comparison.

    Parameters
    ----------
    labels : ndarray of unsigned integers, shape (K, J, I)
        Values of `segments`.
    segments : tuple of Segment
        What may have become of what: "lesion new", "hippocampus shrunk".
    table : Table
        A row per lesion, or per piece of a structure, the most changed first.
    """

    labels: NDArray[np.unsignedinteger] = field(repr=False)
    segments: tuple[Segment, ...]
    table: Table

    def labelmap(self, grid: Volume) -> Labelmap:
        """Where the grid lies."""
        return Labelmap(self.labels, grid.affine, self.segments, "lesion change")


def by_masks(
    outlines: Sequence[Outlines], grid: Volume, found: Difference, *, smallest_mm3: float, tolerance: float
) -> Lesions:
    """Compare what was outlined at two visits.

    What touches, or nearly so, at either visit is one lesion: one that has split or merged keeps its volume.

    Parameters
    ----------
    outlines : sequence of Outlines
        Lesions, or one for every structure.
    grid : Volume
        Where they lie.
    found : Difference
        For the mean change of each.
    smallest_mm3, tolerance : float
        A lesion has changed when its volume has, by more than both.
    """
    labels = np.zeros(grid.shape, np.min_scalar_type(len(outlines) * len(_BY_MASKS)))
    segments: list[Segment] = []
    rows: list[_Piece] = []
    for one in outlines:
        changed = _pieces(one, grid, smallest_mm3, tolerance)
        for kind in _BY_MASKS:
            places = [piece.here for piece in changed if piece.kind == kind]
            if places or one.segment is LESION:  # of a model's many structures, only what became of them
                segments.append(_became(one.segment, kind, len(segments) + 1))
            for here in places:
                labels[here] = len(segments)
        rows += changed
    named = any(one.segment is not LESION for one in outlines)
    return Lesions(labels, tuple(segments), _table(rows, grid, found, named=named))


def _became(what: Segment, kind: str, value: int) -> Segment:
    return replace(what, name=f"{what.name} {kind}", value=value, color=_COLORS[kind], layer=0)


def _pieces(one: Outlines, grid: Volume, smallest_mm3: float, tolerance: float) -> list[_Piece]:
    """What became of each piece of what was outlined."""
    before, after = one.before, one.after
    voxel = grid.voxel_volume_ml * 1000
    either = one.either
    numbers = pieces(moved_edge(either, grid, _NEIGHBOUR_MM), corners=True)
    count = int(numbers.max())
    old, new = (np.bincount(numbers.ravel(), mask.ravel(), count + 1) * voxel for mask in (before, after))
    rows: list[_Piece] = []
    for number in range(1, count + 1):
        was, now = float(old[number]), float(new[number])
        if max(was, now) < smallest_mm3:
            continue
        change = now - was
        if abs(change) < max(smallest_mm3, tolerance * max(was, now)):
            kind = UNCHANGED
        elif was < smallest_mm3:
            kind = NEW
        elif now < smallest_mm3:
            kind = GONE
        else:
            kind = GROWN if change > 0 else SHRUNK
        here = (numbers == number) & either
        rows.append(_Piece(one.segment.name, kind, was / 1000, now / 1000, change / 1000, here))
    return rows


def by_difference(
    found: Difference, tissue: Mask, grid: Volume, *, threshold: float, smallest_mm3: float, appearance: str
) -> Lesions:
    """Lesions where the images differ.

    A piece of tissue that differs by half the threshold everywhere and by all of it somewhere. A bright lesion that
    was brighter than tissue before has grown, else it is new; one that still is has shrunk, else it has gone.

    Parameters
    ----------
    found : Difference
    tissue : ndarray of bool, shape (K, J, I)
    grid : Volume
        Where they lie.
    threshold, smallest_mm3, appearance
        See `medai.tasks.change.ChangeParameters`.
    """
    bright = appearance == "bright"
    if bright:
        darker, brighter = np.minimum(found.before, found.after), np.maximum(found.before, found.after)
        tissue = tissue & (darker > found.fluid) & (brighter > _SUSPECT)
    kinds = (NEW, GROWN, SHRUNK, GONE) if bright else (BRIGHTER, DARKER)
    labels = np.zeros(tissue.shape, np.uint8)
    rows: list[_Piece] = []
    for sign, other in ((1, found.before), (-1, found.after)):
        numbers = pieces(tissue & (sign * found.deviations > _REACH * threshold))
        count = int(numbers.max())
        volumes = np.bincount(numbers.ravel(), minlength=count + 1) * grid.voxel_volume_ml
        largest = np.zeros(count + 1)
        np.maximum.at(largest, numbers.ravel(), sign * found.deviations.ravel())
        for number in range(1, count + 1):
            if largest[number] < threshold or volumes[number] * 1000 < smallest_mm3:
                continue
            here = _outlined(numbers == number, found)
            kind = (BRIGHTER if sign > 0 else DARKER) if not bright else _bright_kind(sign, here, other, grid)
            labels[here] = kinds.index(kind) + 1
            change = sign * float(here.sum()) * grid.voxel_volume_ml
            rows.append(_Piece(LESION.name, kind, None, None, change, here))
    segments = tuple(_became(LESION, kind, number) for number, kind in enumerate(kinds, start=1))
    return Lesions(labels, segments, _table(rows, grid, found))


def _outlined(here: Mask, found: Difference) -> Mask:
    """A change without its foot: a strong one can be told from noise far into voxels that it hardly touches."""
    amount = np.abs(found.amount[here])
    outlined: Mask = here.copy()
    outlined[here] = amount >= np.percentile(amount, 90) * _FOOT
    return outlined


def _bright_kind(sign: int, here: Mask, other: NDArray[np.float32], grid: Volume) -> str:
    """What became of a bright lesion, from how its place looks at the visit at which it is smaller."""
    block = _around(here, grid)
    near = moved_edge(here[block], grid, _NEIGHBOUR_MM)
    still = (other[block][near] > _HYPERINTENSE).sum() * grid.voxel_volume_ml * 1000 >= _LEAST_REST_MM3
    if sign > 0:
        return GROWN if still else NEW
    return SHRUNK if still else GONE


def _around(mask: Mask, grid: Volume) -> tuple[slice, ...]:
    """The block of a mask and of what is near it, so that a large image costs no more than a small one."""
    margins = [int(np.ceil(_NEIGHBOUR_MM / size)) + 1 for size in reversed(grid.spacing)]
    return tuple(
        slice(max(int(at.min()) - margin, 0), int(at.max()) + margin + 1)
        for at, margin in zip(np.nonzero(mask), margins, strict=True)
    )


def _table(rows: list[_Piece], grid: Volume, found: Difference, *, named: bool = False) -> Table:
    rows = sorted(rows, key=lambda row: -abs(row.change))
    centres = []
    for row in rows:
        k, j, i = np.nonzero(row.here)
        middle = np.array([[i.mean(), j.mean(), k.mean()]])
        centres.append([round(float(value), 1) for value in apply_affine(grid.affine, middle)[0]])
    columns: dict[str, tuple[object, ...]] = {
        **({"Structure": tuple(row.name for row in rows)} if named else {"Lesion": tuple(range(1, len(rows) + 1))}),
        "Change": tuple(row.kind for row in rows),
        "Before (mL)": tuple(_rounded(row.before) for row in rows),
        "After (mL)": tuple(_rounded(row.after) for row in rows),
        "Volume change (mL)": tuple(_rounded(row.change) for row in rows),
        **{f"{axis} (mm)": tuple(centre[n] for centre in centres) for n, axis in enumerate("RAS")},
        "Mean difference (SD)": tuple(round(float(found.deviations[row.here].mean()), 2) for row in rows),
    }
    if not named and all(row.before is None for row in rows):  # of a difference only what has changed is known
        del columns["Before (mL)"], columns["After (mL)"]
    return Table(columns, "lesion changes")


def _rounded(millilitres: float | None) -> float | None:
    return None if millilitres is None else round(millilitres, 4)
