"""Segment only inside boxes, and put what was found back where it belongs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from medai.result import Code, Labelmap, Segment
from medai.volume import Region, Volume, crop

Block = tuple[slice, slice, slice]

# DICOM PS3.16 CID 244 Laterality.
_LATERALITY = {"left": Code("SCT", "7771000", "Left"), "right": Code("SCT", "24028007", "Right")}


def inside(region: Region, volume: Volume) -> NDArray[np.bool_]:
    """Which voxels' centres lie in the box, shape (K, J, I); the box's own faces belong to it."""
    to_local = np.linalg.inv(region.axes) @ volume.affine[:3, :3]
    offset = np.linalg.inv(region.axes) @ (volume.affine[:3, 3] - region.center)
    k, j, i = (np.arange(n, dtype=np.float64) for n in volume.shape)
    mask = np.ones(volume.shape, dtype=np.bool_)
    for axis in range(3):
        x, y, z = to_local[axis]
        plane = (y * j)[:, np.newaxis] + (x * i)
        local = (z * k + offset[axis])[:, np.newaxis, np.newaxis] + plane
        mask &= np.abs(local) <= region.size[axis] / 2 + 1e-3  # the tolerance of `Region.contains`
    return mask


def keep(labelmap: Labelmap, names: Collection[str]) -> Labelmap:
    """Only the segments of these names; the others' voxels become background."""
    kept = [segment for segment in labelmap.segments if segment.name in names]
    if len(kept) == len(labelmap.segments):
        return labelmap
    if labelmap.array.ndim == 3:
        table = np.zeros(int(labelmap.array.max()) + 1, labelmap.array.dtype)
        values = [segment.value for segment in kept if segment.value < len(table)]
        table[values] = values
        return replace(labelmap, array=table[labelmap.array], segments=tuple(kept))
    if not kept:
        return replace(labelmap, array=np.zeros_like(labelmap.array[0]), segments=())
    layers = sorted({segment.layer for segment in kept})
    segments = tuple(replace(segment, layer=layers.index(segment.layer)) for segment in kept)
    return replace(labelmap, array=labelmap.array[layers], segments=segments)


class Canvas:
    """The whole image's grid, onto which the labels of one region after the other are put.

    Parameters
    ----------
    volume : Volume
        The image that all regions are parts of.
    regions : sequence of Region
        One region leaves the segments' names and values alone; with several, each gets segments of its own.
    """

    def __init__(self, volume: Volume, regions: tuple[Region, ...]) -> None:
        self.volume = volume
        self.prefixes = prefixes(regions)
        self._array: NDArray[np.unsignedinteger] | None = None
        self._segments: list[Segment] = []

    def paste(self, labels: Labelmap, region: Region, number: int) -> None:
        """Add what was found in region `number`. Where two regions found something in one voxel, the first wins."""
        block = region.slices(self.volume)
        layers = labels.layers * inside(region, crop(self.volume, block))
        prefix = self.prefixes[number]
        # Values continue after those in use, so that every region's segments can be told apart in one layer.
        offset = max((segment.value for segment in self._segments), default=0)
        layers = np.where(layers > 0, layers.astype(np.uint32) + offset, 0)
        target = np.zeros((len(layers), *self.volume.shape), np.uint32) if self._array is None else self._array
        if len(layers) > len(target):
            extra = np.zeros((len(layers) - len(target), *self.volume.shape), np.uint32)
            target = np.concatenate([target, extra])
        where: tuple[slice, ...] = (slice(len(layers)), *block)
        view = target[where]
        np.copyto(view, layers, where=view == 0)
        self._array = target
        self._segments += [_renamed(segment, prefix, offset) for segment in labels.segments]

    def labelmap(self, name: str) -> Labelmap:
        """Everything pasted so far."""
        if self._array is None:
            raise LookupError("Nothing was put onto this canvas.")
        highest = max((segment.value for segment in self._segments), default=0)
        array = self._array.astype(np.min_scalar_type(max(highest, int(self._array.max()))))
        return Labelmap(array[0] if len(array) == 1 else array, self.volume.affine, tuple(self._segments), name)


def prefixes(regions: tuple[Region, ...]) -> tuple[str, ...]:
    """What each region's segments are called before their own name: nothing when there is only one region."""
    if len(regions) < 2:
        return ("",) * len(regions)
    names = [region.name.strip() or f"Region {number}" for number, region in enumerate(regions, start=1)]
    return tuple(name if names.count(name) == 1 else f"{name} {n}" for n, name in enumerate(names, start=1))


def _renamed(segment: Segment, prefix: str, offset: int) -> Segment:
    side = _LATERALITY.get(prefix.lower())
    return replace(
        segment,
        name=_joined(prefix, segment.name),
        value=segment.value + offset,
        color=_shaded(segment.color, offset),
        modifier=segment.modifier or side,
    )


def _joined(prefix: str, name: str) -> str:
    """``"Left anterior hippocampus"``, but ``"Left CSF"``."""
    if prefix and name[1:2].islower():
        name = name[0].lower() + name[1:]
    return f"{prefix} {name}".strip()


def _shaded(color: tuple[float, float, float], offset: int) -> tuple[float, float, float]:
    """The same hue, a little darker for every further region, so that left and right differ in the views."""
    if not offset:
        return color
    r, g, b = (round(0.75 * part, 3) for part in color)
    return r, g, b
