"""What a check of a data list has found."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from medai.training.data.datalist import DataList

MISSING_FILE = "missing file"
UNREADABLE = "unreadable"
GEOMETRY = "geometry"
NOT_FINITE = "not finite"
CONSTANT = "constant"
LABEL_VALUES = "label values"
EMPTY_LABEL = "empty label"
MISSING_LABEL = "missing label"
BOX = "box"
DUPLICATE = "duplicate"
DUPLICATE_ACROSS_SPLITS = "duplicate across splits"
PATIENT_ACROSS_SPLITS = "patient in two splits"
CONFLICT = "conflicting labels"
CHANGED = "changed"

_MOST_SPELLED = 20  # a person reads no thousand lines; `DataReport.problems` and the JSON have all


@dataclass(frozen=True)
class Problem:
    """Something wrong with a case.

    Parameters
    ----------
    index : int
        Place of the case in the list.
    name : str
        Of the case.
    kind : str
        One of the constants of this module.
    message : str
        In a person's words.
    key : str
        Which image or value of the case; ``""`` when it is about the whole.
    blocking : bool
        Whether nobody should train with the case; otherwise worth knowing.
    """

    index: int
    name: str
    kind: str
    message: str
    key: str = ""
    blocking: bool = True


@dataclass(frozen=True)
class Range:
    """Smallest, middle and largest of some numbers."""

    low: float
    median: float
    high: float

    @staticmethod
    def of(numbers: Sequence[float]) -> Range:
        """Range of at least one number."""
        ordered = sorted(numbers)
        return Range(ordered[0], ordered[len(ordered) // 2], ordered[-1])

    def __str__(self) -> str:
        return f"{self.low:.4g}" if self.low == self.high else f"{self.low:.4g} .. {self.median:.4g} .. {self.high:.4g}"


@dataclass(frozen=True)
class ImageSummary:
    """Images under one key.

    Parameters
    ----------
    count : int
        How many could be read.
    size : tuple of Range
        Voxels along i, j, k.
    spacing : tuple of Range
        mm along i, j, k.
    channels : tuple of int
        Numbers of channels that occur.
    dtypes : tuple of str
        Number types that occur.
    minimum, maximum, mean, std : Range
        Of the values in each image.
    """

    count: int
    size: tuple[Range, ...]
    spacing: tuple[Range, ...]
    channels: tuple[int, ...]
    dtypes: tuple[str, ...]
    minimum: Range
    maximum: Range
    mean: Range
    std: Range


@dataclass(frozen=True)
class DataReport:
    """Result of `medai.training.data.check.check`.

    Parameters
    ----------
    name, task : str
        Of the list.
    cases : mapping of str to int
        Number of cases per part; ``""`` for undecided ones.
    patients : int
        Number of patients that are known; 0 when none are.
    problems : tuple of Problem
        In order of the cases.
    classes : mapping of str to mapping of str to int
        Cases per class and part (findings: cases with it; boxes: boxes; label maps: cases where it occurs).
    voxels : mapping of str to int
        Voxels per value in all label maps.
    images : mapping of str to ImageSummary
        By key.
    duplicates : tuple of tuple of int
        Places of cases with the same image.
    digests : tuple of mapping
        Content hash of each case's images, by key.
    notes : tuple of str
        What the list said when it was read, and what concerns all of it.
    """

    name: str
    task: str
    cases: Mapping[str, int]
    patients: int
    problems: tuple[Problem, ...]
    classes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    voxels: Mapping[str, int] = field(default_factory=dict)
    images: Mapping[str, ImageSummary] = field(default_factory=dict)
    duplicates: tuple[tuple[int, ...], ...] = ()
    digests: tuple[Mapping[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def bad(self) -> tuple[int, ...]:
        """Places of the cases that nobody should train with."""
        return tuple(sorted({problem.index for problem in self.problems if problem.blocking}))

    @property
    def passed(self) -> bool:
        """Whether every case can be trained with."""
        return not self.bad

    def of_kind(self, kind: str) -> tuple[Problem, ...]:
        """Problems of one kind."""
        return tuple(problem for problem in self.problems if problem.kind == kind)

    def as_json(self) -> str:
        """Everything, for programs."""
        content = {**dataclasses.asdict(self), "bad": self.bad, "passed": self.passed}
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    def __str__(self) -> str:
        total = sum(self.cases.values())
        people = f" of {self.patients} patients" if self.patients else ""
        lines = [f"{self.name}: {total} cases{people}" + _parts(self.cases), *self.notes]
        for key, image in self.images.items():
            size, spacing = (" x ".join(f"({r})" for r in ranges) for ranges in (image.size, image.spacing))
            lines.append(f"{key}: {image.count} read, {size} voxels of {spacing} mm, {'/'.join(image.dtypes)}")
            lines.append(f"  values from {image.minimum} to {image.maximum}, mean {image.mean}, std {image.std}")
        for part, counts in self.classes.items():
            spelled = ", ".join(f"{name}: {count}" for name, count in counts.items())
            lines.append(f"{part or 'cases'} by class: {spelled}")
        if self.voxels:
            whole = max(sum(self.voxels.values()), 1)
            spelled = ", ".join(f"{name}: {count} ({count / whole:.2%})" for name, count in self.voxels.items())
            lines.append(f"voxels by label: {spelled}")
        lines += [f"{count} x {kind}" for kind, count in Counter(p.kind for p in self.problems).most_common()]
        for kind in dict.fromkeys(problem.kind for problem in self.problems):
            problems = self.of_kind(kind)
            lines += [f"{'!' if p.blocking else '-'} {p.name}: {p.message}" for p in problems[:_MOST_SPELLED]]
            more = len(problems) - _MOST_SPELLED
            lines += [f"  and {more} more of '{kind}'"] if more > 0 else []
        lines.append(f"{len(self.bad)} cases should not be trained with." if self.bad else "Every case can be used.")
        return "\n".join(_printable(line) for line in lines)


def without_bad_items(data: DataList, report: DataReport) -> DataList:
    """The list without the cases that nobody should train with, for who has decided to go on without them.

    Raises
    ------
    ValueError
        When the report is not of this list.
    """
    if len(report.digests) != len(data):
        raise ValueError(f"the report is of {len(report.digests)} cases, the list has {len(data)}")
    bad = set(report.bad)
    note = [f"{len(bad)} of {len(data)} cases were left out after the check."] if bad else []
    return data.with_items([item for n, item in enumerate(data) if n not in bad], *note)


def with_digests(data: DataList, report: DataReport) -> DataList:
    """The list with the content hashes that the check has found: a split then keeps equal images together, a saved
    list carries them, and a later check tells what has changed.

    Raises
    ------
    ValueError
        When the report is not of this list.
    """
    if len(report.digests) != len(data):
        raise ValueError(f"the report is of {len(report.digests)} cases, the list has {len(data)}")
    pairs = zip(data, report.digests, strict=True)
    return data.with_items([dataclasses.replace(item, digests=digests) for item, digests in pairs])


def _parts(cases: Mapping[str, int]) -> str:
    named = [f"{part} {count}" for part, count in cases.items() if part]
    return f" ({', '.join(named)})" if named else ""


def _printable(text: str) -> str:
    # File names come from anywhere; control characters in them would be obeyed by a terminal.
    return "".join(c if c.isprintable() else "?" for c in text)
