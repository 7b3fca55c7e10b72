"""Lesions that have grown, shrunk, come or gone between two visits."""

from __future__ import annotations

from dataclasses import dataclass, field

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
_LESION = Code("SCT", "52988006", "Lesion")
_CATEGORY = Code("SCT", "49755003", "Morphologically Altered Structure")
_NEIGHBOUR_MM = 1.5  # outlines of the same lesion at two visits differ by this much
_HYPERINTENSE = 2.5  # SD above the middle of the tissue is a lesion; 1 is still what some grey matter has
_SUSPECT = 1.0
_FOOT = 0.3  # of its height
_LEAST_REST_MM3 = 10.0
_REACH = 0.5  # of the threshold
_Row = tuple[str, float | None, float | None, float, Mask]
"""What became of a lesion, its volume before, after, and the change of it in mL, and where it is."""


@dataclass(frozen=True, eq=False)
class Lesions:
    """What was found on the grid of the comparison.

    Parameters
    ----------
    labels : ndarray of uint8, shape (K, J, I)
        Number of each voxel's kind in `kinds`, from 1.
    kinds : tuple of str
        What may have become of a lesion.
    table : Table
        A row per lesion, the most changed first.
    """

    labels: NDArray[np.uint8] = field(repr=False)
    kinds: tuple[str, ...]
    table: Table

    def labelmap(self, grid: Volume) -> Labelmap:
        """Segments of these names where the grid lies."""
        segments = tuple(
            Segment(f"lesion {kind}", number, _COLORS[kind], 0, _CATEGORY, _LESION)
            for number, kind in enumerate(self.kinds, start=1)
        )
        return Labelmap(self.labels, grid.affine, segments, "lesion change")


def by_masks(
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    grid: Volume,
    found: Difference,
    *,
    smallest_mm3: float,
    tolerance: float,
) -> Lesions:
    """Compare the lesions of two visits.

    What touches, or nearly so, at either visit is one lesion: one that has split or merged keeps its volume.

    Parameters
    ----------
    before, after : ndarray of float32, shape (K, J, I)
        Share of every voxel, 0 to 1, that is lesion.
    grid : Volume
        Where they lie.
    found : Difference
        For the mean change of each.
    smallest_mm3, tolerance : float
        A lesion has changed when its volume has, by more than both.
    """
    voxel = grid.voxel_volume_ml * 1000
    numbers = pieces(moved_edge(np.maximum(before, after) >= 0.5, grid, _NEIGHBOUR_MM), corners=True)
    count = int(numbers.max())
    old, new = (np.bincount(numbers.ravel(), mask.ravel(), count + 1) * voxel for mask in (before, after))
    kinds = (NEW, GROWN, SHRUNK, GONE, UNCHANGED)
    labels = np.zeros(numbers.shape, np.uint8)
    rows: list[_Row] = []
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
        here = (numbers == number) & (np.maximum(before, after) >= 0.5)
        labels[here] = kinds.index(kind) + 1
        rows.append((kind, was / 1000, now / 1000, change / 1000, here))
    return Lesions(labels, kinds, _table(rows, grid, found))


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
    rows: list[_Row] = []
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
            rows.append((kind, None, None, sign * float(here.sum()) * grid.voxel_volume_ml, here))
    return Lesions(labels, kinds, _table(rows, grid, found))


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


def _table(rows: list[_Row], grid: Volume, found: Difference) -> Table:
    rows = sorted(rows, key=lambda row: -abs(row[3]))
    centres = []
    for *_, here in rows:
        k, j, i = np.nonzero(here)
        middle = np.array([[i.mean(), j.mean(), k.mean()]])
        centres.append([round(float(value), 1) for value in apply_affine(grid.affine, middle)[0]])
    columns: dict[str, tuple[object, ...]] = {
        "Lesion": tuple(range(1, len(rows) + 1)),
        "Change": tuple(row[0] for row in rows),
        "Before (mL)": tuple(_rounded(row[1]) for row in rows),
        "After (mL)": tuple(_rounded(row[2]) for row in rows),
        "Volume change (mL)": tuple(_rounded(row[3]) for row in rows),
        **{f"{axis} (mm)": tuple(centre[n] for centre in centres) for n, axis in enumerate("RAS")},
        "Mean difference (SD)": tuple(round(float(found.deviations[row[4]].mean()), 2) for row in rows),
    }
    if all(row[1] is None for row in rows):  # of a difference only what has changed is known
        del columns["Before (mL)"], columns["After (mL)"]
    return Table(columns, "lesion changes")


def _rounded(millilitres: float | None) -> float | None:
    return None if millilitres is None else round(millilitres, 4)
