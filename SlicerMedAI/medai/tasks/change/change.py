"""What has changed between two visits: a volume, and the lesions that came, went, grew or shrank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from medai.engine.resample import resample_whole
from medai.errors import InputError
from medai.result import Item, Labelmap, Segment, Table
from medai.tasks.change.alignment import Aligned, Step, align, ignored, unmoved
from medai.tasks.change.difference import Difference, difference
from medai.tasks.change.foreground import brain, foreground
from medai.tasks.change.lesions import LESION, Lesions, Outlines, by_difference, by_masks
from medai.tasks.change.morphology import Mask, moved_edge
from medai.tasks.change.parameters import ChangeParameters
from medai.volume import Series, Volume

_ENDS = 2.0  # voxels
Outlined = Sequence[tuple[Segment, Volume, Volume]]
"""Structures, with a mask of each before and after (above 0 inside), each where its own visit's image lies."""


@dataclass(frozen=True, eq=False)
class Change:
    """What has changed between two visits, at the place of the second.

    Parameters
    ----------
    difference : Volume
        After minus before, in standard deviations of unchanged tissue; 0 where no tissue was compared.
    lesions : Labelmap
        Segments "lesion new", "lesion grown" and so on.
    table : Table
        A row per lesion: kind, volume change in mL, centre in RAS mm, mean difference.
    aligned : Aligned
        Both images on the grid of the comparison, and how far the patient had moved.
    notes : tuple of str
        What a person should know.
    """

    difference: Volume
    lesions: Labelmap
    table: Table
    aligned: Aligned
    notes: tuple[str, ...] = ()

    @property
    def items(self) -> tuple[Item, ...]:
        """For a Result."""
        return self.lesions, self.difference, self.table, self.aligned.table


def change(
    before: Volume,
    after: Volume,
    choices: ChangeParameters | None = None,
    step: Step = ignored,
    outlined: Outlined | None = None,
) -> Change:
    """Compare two visits.

    Parameters
    ----------
    before, after : Volume
        Scalar 3D images of one patient, of the same kind, on any grids.
    choices : ChangeParameters, optional
    step : callable
        Hears of steps done and to do; may raise to cancel.
    outlined : sequence of (Segment, Volume, Volume), optional
        Structures that a model found. Without, lesions are what the choices say.

    Raises
    ------
    MedAIError
        When the images or masks cannot be used, or do not belong together: see `alignment.align` and
        `difference.difference`.
    """
    chosen = choices or ChangeParameters()
    if before.modality and after.modality and before.modality != after.modality:
        raise InputError(
            f"'{before.name}' and '{after.name}' cannot be compared.",
            f"One is a {before.modality} image, the other a {after.modality} image.",
            "Choose the same kind of image for both visits.",
        )
    pair = Series((before, after))
    step(0, 4)
    aligned = align(pair) if chosen.align else unmoved(pair)
    step(1, 4)
    old, new = aligned.series.frames
    tissue, looked = _tissue(new, aligned, chosen.mask)
    step(2, 4)
    found = difference(old, new, tissue)
    step(3, 4)
    if outlined is None and chosen.lesions is not None:
        outlined = [(LESION, *chosen.lesions)]
    lesions = _lesions(found, tissue, aligned, chosen, outlined)
    step(4, 4)
    shown = replace(new, array=found.deviations, name=f"{after.name} difference", id="", notes=())
    return Change(shown, lesions.labelmap(new), lesions.table, aligned, (*aligned.notes, looked))


def _tissue(after: Volume, aligned: Aligned, mask: Volume | None) -> tuple[Mask, str]:
    """Where to look, and how to say so."""
    inside = _well_inside(aligned)
    if mask is not None:
        return (_share(mask, after.affine, after) >= 0.5) & inside, f"Compared within the mask '{mask.name}'"
    both = replace(after, array=np.mean([np.asarray(frame.array) for frame in aligned.series.frames], axis=0))
    found = brain(both)
    if found is not None:
        return found & inside, "Compared within the brain, as found by brightness"
    return foreground(both) & inside, "Compared within all of the patient: no brain was found"


def _well_inside(aligned: Aligned) -> Mask:
    """Voxels off the ends of either image, where a slab of slices is not excited as in its middle."""
    grid = aligned.series.frames[-1]
    ends = np.pad(aligned.seen, 1)  # the ends of the grid are ends too
    return moved_edge(ends, grid, -_ENDS * max(grid.spacing))[1:-1, 1:-1, 1:-1]


def _lesions(
    found: Difference, tissue: Mask, aligned: Aligned, choices: ChangeParameters, outlined: Outlined | None
) -> Lesions:
    grid = aligned.series.frames[-1]
    if outlined is None:
        return by_difference(
            found,
            tissue,
            grid,
            threshold=choices.threshold,
            smallest_mm3=choices.smallest_mm3,
            appearance=choices.appearance,
        )
    places = [motion.matrix @ grid.affine for motion in aligned.motions]
    outlines = [
        Outlines(segment, *(_share(mask, to, grid) * aligned.seen for mask, to in zip(masks, places, strict=True)))
        for segment, *masks in outlined
    ]
    return by_masks(outlines, grid, found, smallest_mm3=choices.smallest_mm3, tolerance=choices.tolerance)


def _share(mask: Volume, affine: NDArray[np.float64], grid: Volume) -> NDArray[np.float32]:
    """Share of every voxel of a grid that a mask covers."""
    layers = np.asarray(mask.array).reshape(*mask.shape, -1)  # of segments that overlap, or one
    array = np.asarray((layers > 0).any(axis=-1))
    covered = replace(mask, array=array.astype(np.float32))
    return resample_whole(covered, affine, grid.shape)[0]
