"""Images as they cross every boundary of medai: an array, where it lies in the patient, and a name.

Only numpy is imported here: these objects travel between Slicer's process, the worker process and a cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date as Date  # noqa: N812 - `Volume.date` hides the name inside the class

import numpy as np
from numpy.typing import NDArray

from medai.errors import GeometryError, InputError

Affine = NDArray[np.float64]
SYNTHETIC = "This image is synthetic: it was made by a network, not measured in a patient."
"""A note of every such `Volume`; whatever is made of it repeats it."""
SYNTHETIC_KEY = "MedAI.Synthetic"
"""The attribute of nodes and the key of files that mark them; in NIfTI files the header's description does."""
PIXELS_UNKNOWN = "A picture file does not tell how large its pixels are in the patient: do not trust mm and mL."
"""A note of a `Volume` whose spacing is no more than the file format's."""

_DAYS = {"d": 1.0, "day": 1.0, "w": 7.0, "week": 7.0, "month": 365.25 / 12, "y": 365.25, "yr": 365.25, "year": 365.25}


@dataclass(frozen=True, eq=False)
class Volume:
    """A scalar or multi-component image in patient space.

    Parameters
    ----------
    array : ndarray, shape (K, J, I) or (K, J, I, C)
        Voxels in the order of ``slicer.util.arrayFromVolume`` and ``SimpleITK.GetArrayFromImage``: slices, rows,
        columns, then components. A 2D image has K = 1. The dtype is the image's own. May be a view on memory that
        somebody else owns (a MRML node, shared memory).
    affine : ndarray, shape (4, 4), float64
        Maps voxel indices (i, j, k, 1) to RAS coordinates in millimetres (NIfTI convention). Any rotation, flip,
        anisotropy or shear is allowed; it must be invertible.
    name : str
        What a person calls the image.
    modality : str
        DICOM modality (``"MR"``, ``"CT"``, ``"US"``...), or ``""`` when unknown.
    id : str
        Where it came from (MRML node ID, file path, SeriesInstanceUID); provenance only.
    notes : tuple of str
        What a person should know of the way it was stored; a result on the image repeats it.
    date : datetime.date or None
        Day on which it was acquired, when that is known.

    Raises
    ------
    InputError
        When the array is empty or not numeric.
    GeometryError
        When the affine is not a finite, invertible 4x4 matrix.
    """

    array: NDArray[np.generic] = field(repr=False)
    affine: Affine = field(repr=False)
    name: str = "image"
    modality: str = ""
    id: str = ""
    notes: tuple[str, ...] = ()
    date: Date | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.array, np.ndarray):  # nested lists, a tensor
            object.__setattr__(self, "array", np.asarray(self.array))
        if self.array.ndim not in (3, 4) or self.array.size == 0:
            raise InputError(
                f"The image '{self.name}' holds no voxels that can be used.",
                f"Its array has shape {tuple(self.array.shape)}; (slices, rows, columns) is needed.",
                "Load the image again, or choose another one.",
            )
        if self.array.dtype.kind not in "biuf":
            raise InputError(
                f"The image '{self.name}' does not hold numbers that can be used.",
                f"Its voxels are of type {self.array.dtype}.",
                "Convert it to integers or floating point numbers first.",
            )
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or not np.isclose(affine[3], [0, 0, 0, 1]).all():
            raise GeometryError(
                f"The position of the image '{self.name}' in space is not valid.",
                "Its index-to-RAS matrix is not a finite 4x4 affine matrix.",
                "Check the spacing and orientation of the image (in Slicer: Volumes module, Volume Information).",
            )
        # Relative, not absolute: microscopy and planetary spacings are both legitimate; a zero spacing never is.
        columns = np.linalg.norm(affine[:3, :3], axis=0)
        if (columns == 0).any() or abs(np.linalg.det(affine[:3, :3] / np.where(columns, columns, 1))) < 1e-6:
            raise GeometryError(
                f"The image '{self.name}' has no thickness in at least one direction.",
                f"Its spacing is {', '.join(f'{s:g}' for s in columns)} mm, or two of its axes are parallel.",
                "Correct the spacing of the image (in Slicer: Volumes module, Volume Information), then try again.",
            )
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Grid size (K, J, I), without components."""
        k, j, i = self.array.shape[:3]
        return k, j, i

    @property
    def channels(self) -> int:
        """Number of components per voxel; 1 for a scalar image."""
        return int(self.array.shape[3]) if self.array.ndim == 4 else 1

    @property
    def in_colour(self) -> bool:
        """Whether its components are red, green, blue and perhaps opacity."""
        return self.channels in (3, 4) and self.array.dtype.kind == "u"

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size in mm along i, j, k."""
        i, j, k = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(i), float(j), float(k)

    @property
    def extent_mm(self) -> tuple[float, float, float]:
        """Size of the whole image in mm along i, j, k."""
        k, j, i = self.shape
        si, sj, sk = self.spacing
        return i * si, j * sj, k * sk

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in millilitres (1 mL = 1000 mm^3)."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    def same_grid(self, other: Volume, tolerance_mm: float = 1e-3) -> bool:
        """Whether both images have the same voxels at the same places, to `tolerance_mm` at every corner."""
        return self.shape == other.shape and bool(
            np.abs(corners(self.affine, self.shape) - corners(other.affine, other.shape)).max() <= tolerance_mm
        )


@dataclass(frozen=True, eq=False)
class Series:
    """A sequence of images of one patient: time frames of one scan, or visits (see `medai.visits`).

    Parameters
    ----------
    frames : sequence of Volume
        In order. Frames need not share a grid.
    index : sequence of float
        One value per frame, increasing.
    unit : str
        Unit of `index` (``"s"``, ``"ms"``, ``"days"``, ``"year"``, ``""`` for a plain count).
    name : str
        What a person calls the series.
    """

    frames: tuple[Volume, ...]
    index: tuple[float, ...] = ()
    unit: str = ""
    name: str = "series"
    id: str = ""

    def __post_init__(self) -> None:
        if not self.frames:
            raise InputError(f"The sequence '{self.name}' is empty.", "It has no frames.", "Choose another sequence.")
        object.__setattr__(self, "frames", tuple(self.frames))
        index = tuple(float(v) for v in self.index) or tuple(float(n) for n in range(len(self.frames)))
        if len(index) != len(self.frames):
            raise InputError(
                f"The sequence '{self.name}' is inconsistent.",
                f"It has {len(self.frames)} frames but {len(index)} index values.",
                "Load the sequence again.",
            )
        object.__setattr__(self, "index", index)

    @property
    def dates(self) -> tuple[Date | None, ...]:
        """Day on which each frame was acquired, None where it is not known."""
        return tuple(frame.date for frame in self.frames)

    @property
    def days(self) -> tuple[float, ...]:
        """Days from the first frame to each: of their dates, or of an index in days to years; else nothing."""
        known = [date.toordinal() for date in self.dates if date is not None]
        if len(known) == len(self.frames):
            return tuple(float(day - known[0]) for day in known)
        unit = self.unit.strip().lower()
        each = _DAYS.get(unit) or _DAYS.get(unit.removesuffix("s"))
        return tuple((value - self.index[0]) * each for value in self.index) if each else ()


@dataclass(frozen=True, eq=False)
class Region:
    """A box in patient space, such as a markups ROI.

    Parameters
    ----------
    center : array_like, shape (3,)
        RAS coordinates in mm.
    size : array_like, shape (3,)
        Full edge lengths in mm along `axes`.
    axes : array_like, shape (3, 3)
        Columns are the box's unit axes in RAS; identity for an axis-aligned box.
    name : str
        Prefix of the segments found in it when a job has several regions (``"Left"``).
    """

    center: NDArray[np.float64]
    size: NDArray[np.float64]
    axes: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))
    name: str = ""

    def __post_init__(self) -> None:
        for key in ("center", "size", "axes"):
            object.__setattr__(self, key, np.array(getattr(self, key), dtype=np.float64))
        shapes = (self.center.shape, self.size.shape, self.axes.shape)
        finite = all(np.isfinite(a).all() for a in (self.center, self.size, self.axes))
        if shapes != ((3,), (3,), (3, 3)) or not finite or (self.size <= 0).any():
            raise GeometryError(
                f"The region '{self.name or 'ROI'}' is not a box.",
                "Its centre, size or axes are missing, zero or not finite.",
                "Draw the region again around the structure of interest.",
            )

    @property
    def corners(self) -> NDArray[np.float64]:
        """The eight corners, RAS mm, shape (8, 3)."""
        signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
        return np.asarray(self.center + (signs * self.size / 2) @ self.axes.T)

    def slices(self, volume: Volume) -> tuple[slice, slice, slice]:
        """Smallest block of `volume` that covers the box, as slices along (k, j, i).

        Raises
        ------
        GeometryError
            When the box lies outside the image.
        """
        to_ijk: Affine = np.linalg.inv(volume.affine).astype(np.float64)
        ijk = apply_affine(to_ijk, self.corners)
        size = np.array(volume.shape[::-1])
        # A voxel belongs to the block when its centre lies in the box's bounding box, to rounding.
        low = np.clip(np.ceil(ijk.min(axis=0) - 1e-6), 0, size).astype(int)
        high = np.clip(np.floor(ijk.max(axis=0) + 1e-6) + 1, 0, size).astype(int)
        if (high <= low).any():
            raise GeometryError(
                f"The region '{self.name or 'ROI'}' lies outside the image '{volume.name}'.",
                "No voxel of the image is inside it.",
                "Move the region onto the structure of interest, then try again.",
            )
        i, j, k = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        return k, j, i

    def contains(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether RAS points of shape (N, 3) lie inside the box (faces included, to a micrometre)."""
        local = np.linalg.solve(self.axes, (points - self.center).T).T
        return np.asarray((np.abs(local) <= self.size / 2 + 1e-3).all(axis=1))


def apply_affine(affine: Affine, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Transform points of shape (N, 3) with a 4x4 matrix."""
    return np.asarray(points @ affine[:3, :3].T + affine[:3, 3])


def corners(affine: Affine, shape: Sequence[int]) -> NDArray[np.float64]:
    """RAS positions of the eight corner voxels' centres of a (K, J, I) grid, shape (8, 3)."""
    k, j, i = shape[:3]
    ijk = np.array([[a, b, c] for a in (0, i - 1) for b in (0, j - 1) for c in (0, k - 1)], dtype=np.float64)
    return apply_affine(affine, ijk)


def crop(volume: Volume, block: tuple[slice, slice, slice]) -> Volume:
    """View on a block of `volume`; the affine follows, so every voxel stays where it is in the patient."""
    k, j, i = block
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ np.array([i.start, j.start, k.start], dtype=np.float64)
    return Volume(volume.array[block], affine, volume.name, volume.modality, volume.id, volume.notes, volume.date)
