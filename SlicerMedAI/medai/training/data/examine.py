"""One case of a data list, read in full."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medai.errors import MedAIError
from medai.training.data import report as kinds
from medai.training.data.datalist import DataList
from medai.training.data.item import ArrayReference, DataItem, Source
from medai.training.data.report import Problem
from medai.training.data.voxels import read_source, voxel_digest
from medai.volume import Volume

LABEL_KEYS = ("label", "mask")
"""Keys of images whose voxels are label values."""

_MOST_LABEL_VALUES = 1024
_TOLERANCE = 0.05  # of the shortest voxel edge; programs round a header's numbers differently


@dataclass
class ImageFacts:
    """What reading one image has shown."""

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    channels: int
    dtype: str
    low: float
    high: float
    mean: float
    std: float


@dataclass
class ItemFacts:
    """What reading one case has shown."""

    index: int
    images: dict[str, ImageFacts] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    voxels: dict[int, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


class Examination:
    """Reads case after case of one list; may be called from several threads.

    Parameters
    ----------
    data : DataList
    unknown : int, optional
        A value that label maps may have besides those that the list knows.
    """

    def __init__(self, data: DataList, unknown: int | None = None) -> None:
        self.data, self.unknown = data, unknown
        # At a visit nobody need have taken an image.
        self.needs_image = "image" in data.file_keys and data.task != "forecast"

    def __call__(self, index: int) -> ItemFacts:
        """Read all images of a case, and compare them with each other and with what the list says."""
        item, facts = self.data[index], ItemFacts(index)
        if self.needs_image and not item.files.get("image"):
            self._add(facts, kinds.MISSING_FILE, "The list names no image for it.", "image")
        volumes = {key: self._read(facts, item, key, sources) for key, sources in item.files.items()}
        whole = {key: images for key, images in volumes.items() if images}
        for key, images in whole.items():
            self._voxels(facts, key, images)
        self._geometry(facts, whole)
        self._label(facts, item, whole)
        return facts

    def _read(self, facts: ItemFacts, item: DataItem, key: str, sources: Sequence[Source]) -> list[Volume]:
        volumes = []
        for source in sources:
            path = source.path if isinstance(source, ArrayReference) else source
            try:
                if not path.exists():
                    self._add(facts, kinds.MISSING_FILE, f"'{path}' is not there.", key)
                    return []
                volumes.append(read_source(source))
            except MedAIError as error:
                self._add(facts, kinds.UNREADABLE, f"{error.what} {error.why}", key)
                return []
            except Exception as error:  # a damaged file finds bugs in any library
                self._add(facts, kinds.UNREADABLE, f"'{path.name}' cannot be read ({error!r:.200}).", key)
                return []
        facts.digests[key] = voxel_digest(volumes)
        if item.digests.get(key, facts.digests[key]) != facts.digests[key]:
            self._add(facts, kinds.CHANGED, f"{key} is another one than when the list was saved.", key, blocking=False)
        return volumes

    def _voxels(self, facts: ItemFacts, key: str, volumes: Sequence[Volume]) -> None:
        first = volumes[0]
        finite = all(bool(np.isfinite(v.array).all()) for v in volumes if v.array.dtype.kind == "f")
        if not finite:
            self._add(facts, kinds.NOT_FINITE, f"{key} has voxels that are not numbers (NaN or infinite).", key)
            return
        low = min(float(v.array.min()) for v in volumes)
        high = max(float(v.array.max()) for v in volumes)
        facts.images[key] = ImageFacts(
            first.shape,
            first.spacing,
            sum(v.channels for v in volumes),
            str(first.array.dtype),
            low,
            high,
            float(np.mean([v.array.mean(dtype=np.float64) for v in volumes])),
            float(np.mean([v.array.std(dtype=np.float64) for v in volumes])),
        )
        if key in LABEL_KEYS:
            self._label_map(facts, key, volumes)
        elif low == high:
            self._add(facts, kinds.CONSTANT, f"All voxels of {key} are {low:g}.", key)

    def _label_map(self, facts: ItemFacts, key: str, volumes: Sequence[Volume]) -> None:
        for volume in volumes:
            values, counts = _counted(volume.array)
            if volume.array.dtype.kind == "f" and (values != np.round(values)).any():
                odd = float(values[values != np.round(values)][0])
                self._add(
                    facts, kinds.LABEL_VALUES, f"{key} has values that are no whole numbers, such as {odd:g}.", key
                )
                return
            if len(values) > _MOST_LABEL_VALUES:
                self._add(facts, kinds.LABEL_VALUES, f"{key} has {len(values)} values: an image, not a label map.", key)
                return
            for value, count in zip(values.tolist(), counts.tolist(), strict=True):
                facts.voxels[int(value)] = facts.voxels.get(int(value), 0) + count
        names = self.data.label_names if self.data.task == "segment" else {}
        wrong = [value for value in facts.voxels if value < 0 or (names and value not in {0, self.unknown, *names})]
        if wrong:
            known = f"; the list knows {', '.join(map(str, sorted(names)))}" if names else ""
            self._add(facts, kinds.LABEL_VALUES, f"{key} has the value {wrong[0]}{known}.", key)
        elif set(facts.voxels) == {0}:
            self._add(facts, kinds.EMPTY_LABEL, f"{key} marks nothing.", key, blocking=False)

    def _geometry(self, facts: ItemFacts, volumes: Mapping[str, Sequence[Volume]]) -> None:
        images = [(key, volume) for key, several in volumes.items() for volume in several]
        images.sort(key=lambda pair: pair[0] != "image")
        for key, volume in images[1:]:
            reference, image = images[0]
            tolerance = max(_TOLERANCE * min(image.spacing[: 2 if image.shape[0] == 1 else 3]), 1e-3)
            if not volume.same_grid(image, tolerance):
                self._add(
                    facts,
                    kinds.GEOMETRY,
                    f"{key} lies elsewhere: {_place(volume)}; {reference} has {_place(image)}.",
                    key,
                )
                return

    def _label(self, facts: ItemFacts, item: DataItem, volumes: Mapping[str, Sequence[Volume]]) -> None:
        task, label = self.data.task, item.label
        if task == "detect":
            self._boxes(facts, item, volumes)
        elif task == "segment":
            if "label" not in item.files:
                self._add(facts, kinds.MISSING_LABEL, "There is no label map.", "label", blocking=False)
        elif self.data.multi_label:
            self._findings(facts, label)
        elif task in ("classify", "regress", "forecast"):
            self._number(facts, label)

    def _findings(self, facts: ItemFacts, label: object) -> None:
        width = len(self.data.label_names)
        findings = (None,) if label is None else label if isinstance(label, tuple) else ()
        if all(finding is None for finding in findings) and findings:
            self._add(facts, kinds.MISSING_LABEL, "No finding is known.", "label", blocking=False)
        elif len(findings) != (width or len(findings)) or not findings or any(f not in (0, 1, None) for f in findings):
            self._add(facts, kinds.LABEL_VALUES, f"The findings {label} are not {width} times 0 or 1.", "label")

    def _number(self, facts: ItemFacts, label: object) -> None:
        names = self.data.label_names
        if label is None:
            self._add(facts, kinds.MISSING_LABEL, "The label is not known.", "label", blocking=False)
        elif not isinstance(label, int) and not (isinstance(label, float) and math.isfinite(label)):
            self._add(facts, kinds.LABEL_VALUES, f"The label {label!r} is no number.", "label")
        elif self.data.task == "classify" and (label != int(label) or label < 0 or (names and label not in names)):
            known = f" The classes are {', '.join(f'{v} {n}' for v, n in sorted(names.items()))}." if names else ""
            self._add(facts, kinds.LABEL_VALUES, f"The label {label!r} is no class.{known}", "label")

    def _boxes(self, facts: ItemFacts, item: DataItem, volumes: Mapping[str, Sequence[Volume]]) -> None:
        boxes, labels = item.values.get("box"), item.label
        if not isinstance(boxes, tuple) or not isinstance(labels, tuple) or len(boxes) != len(labels):
            self._add(facts, kinds.BOX, "Its boxes and their classes are missing or differ in number.", "box")
            return
        if self.data.label_names and not all(isinstance(n, int) and n in self.data.label_names for n in labels):
            self._add(facts, kinds.LABEL_VALUES, f"A box has a class that the list does not know: {labels}.", "label")
        size = next((v[0].shape[::-1] for k, v in volumes.items() if k == "image"), None)
        for box in boxes:
            numbers = _numbers(box)
            axes = len(numbers) // 2
            if len(numbers) not in (4, 6) or not (numbers[axes:] > numbers[:axes]).all():
                self._add(facts, kinds.BOX, f"The box {box} has no extent.", "box")
            elif size is not None and (
                (numbers[:axes] < -0.5).any() or (numbers[axes:] > np.add(size[:axes], 0.5)).any()
            ):
                self._add(facts, kinds.BOX, f"The box {box} leaves the image of {size[:axes]} voxels.", "box")

    def _add(self, facts: ItemFacts, kind: str, message: str, key: str = "", *, blocking: bool = True) -> None:
        name = self.data[facts.index].name
        facts.problems.append(Problem(facts.index, name, kind, message, key, blocking))


def _counted(array: NDArray[np.generic]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Values that occur, in order, and how often."""
    if array.dtype.kind in "bu" and array.dtype.itemsize <= 2:  # without sorting a million voxels
        counts = np.bincount(array.ravel())
        return np.flatnonzero(counts), counts[counts > 0]
    values, counts = np.unique(array, return_counts=True)
    return values, counts


def _numbers(box: object) -> NDArray[np.float64]:
    """A box as an array, empty when it holds anything but numbers."""
    try:
        return np.array(box if isinstance(box, tuple) else (), dtype=np.float64).reshape(-1)
    except (TypeError, ValueError, OverflowError):
        return np.zeros(0)


def _place(volume: Volume) -> str:
    size = " x ".join(str(n) for n in volume.shape[::-1])
    spacing = " x ".join(f"{s:.4g}" for s in volume.spacing)
    origin = ", ".join(f"{v:.4g}" for v in volume.affine[:3, 3])
    axes = "; ".join(" ".join(f"{v:.3g}" for v in column) for column in (volume.affine[:3, :3] / volume.spacing).T)
    return f"{size} voxels of {spacing} mm from RAS ({origin}) along ({axes})"
