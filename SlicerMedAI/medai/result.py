"""What a job gives back: labels, volumes, boxes, tables, and where they came from. numpy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from medai.volume import SYNTHETIC_KEY, Affine, Region, Volume


@dataclass(frozen=True)
class Code:
    """A coded concept: scheme designator, value and meaning, as in DICOM PS3.16 (``SCT``, ``72713000``, ...)."""

    scheme: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Segment:
    """One structure of a `Labelmap`.

    Parameters
    ----------
    name : str
        Shown to people and written to files.
    value : int
        Its voxels' value in the labelmap's layer; 1 or more.
    color : tuple of float
        RGB, 0 to 1.
    layer : int
        Which layer of the labelmap holds it; 0 unless segments overlap.
    category, type, modifier : Code or None
        Segmentation category, type and type modifier (DICOM PS3.3 C.8.20.4).
    """

    name: str
    value: int
    color: tuple[float, float, float] = (0.5, 0.7, 0.4)
    layer: int = 0
    category: Code | None = None
    type: Code | None = None
    modifier: Code | None = None


@dataclass(frozen=True, eq=False)
class Labelmap:
    """Segments on a grid.

    Parameters
    ----------
    array : ndarray of unsigned integers, shape (K, J, I) or (L, K, J, I)
        Label values, 0 is background. The leading axis exists only when segments overlap (multi-label heads): each
        layer is then a labelmap of its own.
    affine : ndarray, shape (4, 4)
        (i, j, k, 1) to RAS in mm, the input image's own.
    segments : tuple of Segment
        The structures the model knows, present in this image or not.
    name : str
        What a person calls it.
    """

    array: NDArray[np.unsignedinteger] = field(repr=False)
    affine: Affine = field(repr=False)
    segments: tuple[Segment, ...]
    name: str = "segmentation"

    def __repr__(self) -> str:
        return f"<Labelmap '{self.name}': {', '.join(segment.name for segment in self.segments) or 'no structures'}>"

    @property
    def layers(self) -> NDArray[np.unsignedinteger]:
        """Always (L, K, J, I)."""
        return self.array if self.array.ndim == 4 else self.array[np.newaxis]

    def mask(self, segment: Segment) -> NDArray[np.bool_]:
        """Voxels of one segment, shape (K, J, I)."""
        return np.asarray(self.layers[segment.layer] == segment.value)

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in millilitres (1 mL = 1000 mm^3)."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    def voxel_counts(self) -> tuple[int, ...]:
        """Number of voxels of every segment, in the order of `segments`."""
        highest = max((segment.value for segment in self.segments), default=0)
        counts = [label_counts(layer, highest) for layer in self.layers]
        return tuple(int(counts[segment.layer][segment.value]) for segment in self.segments)

    def volumes_ml(self) -> dict[str, float]:
        """Volume of every segment in millilitres, by name (voxel count times voxel volume)."""
        counted = zip(self.segments, self.voxel_counts(), strict=True)
        return {segment.name: round(count * self.voxel_volume_ml, 9) for segment, count in counted}


def label_counts(labels: NDArray[np.unsignedinteger], highest: int = 0) -> NDArray[np.int64]:
    """How many voxels carry each label.

    Parameters
    ----------
    labels : ndarray, shape (K, J, I)
    highest : int
        Last label to count; more are counted where there are more.

    Returns
    -------
    ndarray, shape (at least `highest` + 1,)
    """
    length = max(highest, int(labels.max(initial=0))) + 1
    counts = np.zeros(length, np.int64)
    for plane in labels:  # numpy makes each label eight bytes wide: those of a plane stay in the processor's cache
        counts += np.bincount(plane.ravel(), minlength=length)
    return counts


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes found in an image.

    Parameters
    ----------
    regions : tuple of Region
        Centre, size and axes in RAS mm.
    scores : tuple of float
        Confidence of each, 0 to 1.
    classes : tuple of str
        Name of each box's class.
    """

    regions: tuple[Region, ...]
    scores: tuple[float, ...]
    classes: tuple[str, ...]
    name: str = "boxes"


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of equal length, by title."""

    columns: Mapping[str, tuple[object, ...]]
    name: str = "table"


@dataclass(frozen=True, eq=False)
class Plot:
    """Columns of a table drawn against each other.

    Parameters
    ----------
    table : Table
        The numbers.
    x : str
        Title of the column on the horizontal axis.
    y : tuple of str
        Titles of the columns drawn as lines.
    x_label, y_label : str
        Axis titles with units.
    points : tuple of str
        Those of `y` that are single points, without a line through them.
    band : tuple of str
        Of `y`, the lower and the upper edge of a band around the others, if there is one.
    """

    table: Table
    x: str
    y: tuple[str, ...]
    x_label: str = ""
    y_label: str = ""
    name: str = "plot"
    points: tuple[str, ...] = ()
    band: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Codes:
    """Codes of the images of a cohort. A table that comes with them tells the same features to people.

    Parameters
    ----------
    array : ndarray of float32, shape (N, F)
        Features of every image's code, which can be compared between images of any size.
    cases : tuple of str, length N
        Names of the images.
    features : tuple of str, length F
        What each column is.
    latents : tuple of ndarray, length N
        The whole code of every image, of which it can be reconstructed; larger images have larger ones.
    """

    array: NDArray[np.float32] = field(repr=False)
    cases: tuple[str, ...]
    features: tuple[str, ...] = field(repr=False)
    latents: tuple[NDArray[np.float32], ...] = field(default=(), repr=False)
    name: str = "codes"


@dataclass(frozen=True)
class Provenance:
    """Where a result came from; enough to repeat it and to cite it.

    Parameters
    ----------
    task : str
        ``"segment"``, ...
    bundle, version, digest : str
        Name, version and SHA-256 of the model bundle; of several that voted, each.
    parameters : mapping
        What the person chose, as text by name.
    device, device_reason : str
        Where it ran and why there.
    duration_s : float
        From job to result.
    started : str
        ISO 8601, UTC.
    inputs : tuple of str
        Names and ids of the input images.
    citation, licence : str
        Of the model.
    notes : tuple of str
        Fallbacks and warnings said aloud.
    software : str
        Versions of medai, monai and torch.
    synthetic : bool
        Whether it shows no patient, because a network made it, or made an image that it was made of.
    """

    task: str
    bundle: str
    version: str = ""
    digest: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    device: str = ""
    device_reason: str = ""
    duration_s: float = 0.0
    started: str = ""
    inputs: tuple[str, ...] = ()
    citation: str = ""
    licence: str = ""
    notes: tuple[str, ...] = ()
    software: str = ""
    synthetic: bool = False

    def attributes(self) -> dict[str, str]:
        """Flat text pairs for MRML node attributes and file headers; every key begins with ``MedAI.``."""
        pairs = {
            "Task": self.task,
            "Bundle": self.bundle,
            "Version": self.version,
            "SHA256": self.digest,
            "Device": self.device,
            "DeviceReason": self.device_reason,
            "DurationSeconds": f"{self.duration_s:.3f}",
            "Started": self.started,
            "Inputs": "; ".join(self.inputs),
            "Citation": self.citation,
            "Licence": self.licence,
            "Notes": "; ".join(self.notes),
            "Software": self.software,
            **{f"Parameter.{key}": value for key, value in self.parameters.items()},
        }
        marked = {SYNTHETIC_KEY: "yes"} if self.synthetic else {}
        return marked | {f"MedAI.{key}": value for key, value in pairs.items() if value}

    def __str__(self) -> str:
        lines = [f"{self.bundle} {self.version}".strip() + f" on {self.device or 'unknown device'}"]
        lines += [f"Cite: {self.citation}"] if self.citation else []
        lines += [f"Licence: {self.licence}"] if self.licence else []
        lines += [f"Note: {note}" for note in self.notes]
        return "\n".join(lines)


Item = Labelmap | Volume | Boxes | Table | Plot | Codes
_Kind = TypeVar("_Kind", Labelmap, Volume, Boxes, Table, Plot, Codes)


@dataclass(frozen=True, eq=False)
class Result:
    """Everything one job produced for one input image (or one frame of a `Series`).

    Parameters
    ----------
    items : tuple
        `Labelmap`, `Volume`, `Boxes`, `Table`, `Plot` and `Codes`, in the order a person wants to see them.
    provenance : Provenance
        Where it came from.
    frames : tuple of Result
        For a `Series` input: one Result per frame, and no `items` of its own but summaries over all frames.
    """

    items: tuple[Item, ...]
    provenance: Provenance
    frames: tuple[Result, ...] = ()

    def __repr__(self) -> str:
        """One line, as a console and a notebook show it."""
        made = [f"{type(item).__name__} '{item.name}'" for item in self.items]
        made += [f"{len(self.frames)} frames"] if self.frames else []
        return f"<Result of {self.provenance.task} by {self.provenance.bundle or 'no model'}: {', '.join(made)}>"

    @property
    def labelmap(self) -> Labelmap:
        """The first labelmap.

        Raises
        ------
        LookupError
            When the job made none.
        """
        return self._first(Labelmap)

    @property
    def boxes(self) -> Boxes:
        """The first boxes (of a detection).

        Raises
        ------
        LookupError
            When the job made none.
        """
        return self._first(Boxes)

    @property
    def table(self) -> Table:
        """The first table (volumes in mL for a segmentation)."""
        return self._first(Table)

    @property
    def volume(self) -> Volume:
        """The first volume (the image without its noise of a denoising)."""
        return self._first(Volume)

    @property
    def codes(self) -> Codes:
        """The first codes."""
        return self._first(Codes)

    def _first(self, kind: type[_Kind]) -> _Kind:
        for item in self.items:
            if isinstance(item, kind):
                return item
        raise LookupError(f"This result holds no {kind.__name__.lower()}.")
