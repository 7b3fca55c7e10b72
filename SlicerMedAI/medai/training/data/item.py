"""One case of a data list: its files or stored arrays, and what is known about it."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

TRAINING, VALIDATION, TEST = "training", "validation", "test"
SPLITS = (TRAINING, VALIDATION, TEST)
"""Names of the parts, as MONAI's data lists spell them."""

_REFERENCE = re.compile(r"^(?P<path>.+\.npz)#(?P<array>[^#:]+):(?P<index>[0-9]{1,12})$", re.IGNORECASE)


@dataclass(frozen=True)
class ArrayReference:
    """One image inside a ``.npz`` file of stacked images.

    Parameters
    ----------
    path : Path
        The ``.npz`` file.
    array : str
        Name of an array in it, of shape (N, rows, columns), (N, rows, columns, 3) or (N, slices, rows, columns).
    index : int
        Which of the N.
    """

    path: Path
    array: str
    index: int

    def __str__(self) -> str:
        return f"{self.path}#{self.array}:{self.index}"


Source = Path | ArrayReference
"""Where voxels come from: a file, a DICOM folder, or an array in a ``.npz`` file."""


def parse_source(text: str, root: Path) -> Source:
    """A `Source` from its text form, relative to `root` unless absolute.

    ``pneumonia.npz#train_images:12`` is an `ArrayReference`; anything else is a path.
    """
    reference = _REFERENCE.match(text)
    if reference is None:
        return root / text
    return ArrayReference(root / reference["path"], reference["array"], int(reference["index"]))


@dataclass(frozen=True)
class DataItem:
    """One case.

    Parameters
    ----------
    name : str
        What reports call it.
    files : mapping of str to tuple of Source
        Images by key, as MONAI names them: ``"image"``, ``"label"`` for a label map, ``"mask"``... Several sources
        under one key are channels of one image.
    values : mapping of str to object
        What is no image: ``"label"`` (an int for one class, a tuple of 0, 1 and None for several findings, a float),
        ``"box"`` (tuple of boxes), ages, delays, scores. None where it is not known. Only what JSON can hold.
    patient : str
        Whoever shares it is never parted by a split; ``""`` when unknown.
    split : str
        ``"training"``, ``"validation"``, ``"test"``, or ``""`` while undecided.
    fold : int or None
        Of a cross-validation.
    digests : mapping of str to str
        SHA-256 of the decoded voxels by key (see `medai.training.data.voxels.voxel_digest`), where known.
    """

    name: str
    files: Mapping[str, tuple[Source, ...]] = field(default_factory=dict)
    values: Mapping[str, object] = field(default_factory=dict)
    patient: str = ""
    split: str = ""
    fold: int | None = None
    digests: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", dict(self.files))
        object.__setattr__(self, "values", {key: plain_value(value) for key, value in self.values.items()})
        object.__setattr__(self, "digests", dict(self.digests))

    @property
    def label(self) -> object:
        """The class, findings or number to predict; None when missing, or when the label is an image."""
        return self.values.get("label")

    def with_values(self, **values: object) -> DataItem:
        """The same case with more, or other, values."""
        return dataclasses.replace(self, values={**self.values, **values})

    def as_dict(self) -> dict[str, object]:
        """The dictionary that MONAI's transforms take: paths as text, missing numbers as NaN."""
        loaded: dict[str, object] = {}
        for key, sources in self.files.items():
            texts = [str(source) for source in sources]
            loaded[key] = texts[0] if len(texts) == 1 else texts
        loaded.update({key: _nan_for_none(value) for key, value in self.values.items()})
        return {**loaded, "name": self.name, "patient": self.patient}


def plain_value(value: object) -> object:
    """A value as JSON can hold it and as it compares equal after a round trip: tuples for lists, None for NaN."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): plain_value(part) for key, part in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        return tuple(plain_value(part) for part in value)
    return value


def _nan_for_none(value: object) -> object:
    if isinstance(value, tuple):
        return [_nan_for_none(part) for part in value]
    return math.nan if value is None else value
