"""A typed MONAI data list."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medai.errors import InputError
from medai.training.data.item import SPLITS, ArrayReference, DataItem, Source

TASKS = ("", "segment", "classify", "detect", "regress", "forecast")


@dataclass(frozen=True)
class DataList:
    """Cases to learn from.

    Parameters
    ----------
    items : tuple of DataItem
        The cases, in the order of their source.
    task : str
        What the labels are for: ``"segment"`` (label maps), ``"classify"`` (classes or findings), ``"detect"``
        (boxes), ``"regress"`` (a number), ``"forecast"`` (visits of a table), or ``""`` (images only).
    label_names : mapping of int to str
        Meaning of each label value; with `multi_label`, of each place in the label. Empty when nothing says it.
    multi_label : bool
        Whether every label is a tuple of findings, each 0, 1 or None.
    root : Path
        Folder that paths are relative to in a saved list.
    name : str
        What a person calls the data.
    notes : tuple of str
        What reading it found that a person should know: how it was recognised, paths that leave its folder.
    """

    items: tuple[DataItem, ...]
    task: str = ""
    label_names: Mapping[int, str] = field(default_factory=dict)
    multi_label: bool = False
    root: Path = Path()
    name: str = "data"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise InputError(
                f"There is no task '{self.task}' to train for.",
                "A data list is made for one task.",
                f"Use one of {', '.join(repr(task) for task in TASKS if task)}, or none.",
            )
        wrong = next((item for item in self.items if item.split not in ("", *SPLITS)), None)
        if wrong is not None:
            raise InputError(
                f"The case '{wrong.name}' is in a part named '{wrong.split}'.",
                f"A data list has the parts {', '.join(SPLITS)}.",
                "Rename the part.",
            )
        object.__setattr__(self, "items", tuple(self.items))
        object.__setattr__(self, "label_names", dict(self.label_names))
        object.__setattr__(self, "notes", tuple(self.notes))

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[DataItem]:
        return iter(self.items)

    def __getitem__(self, index: int) -> DataItem:
        return self.items[index]

    @property
    def is_split(self) -> bool:
        """Whether at least one case has its part."""
        return any(item.split for item in self.items)

    @property
    def file_keys(self) -> tuple[str, ...]:
        """Keys of images, ``"image"`` first, over all items."""
        keys = dict.fromkeys(key for item in self.items for key in item.files)
        return tuple(sorted(keys, key=lambda key: key != "image"))

    def part(self, split: str) -> DataList:
        """The cases of ``"training"``, ``"validation"`` or ``"test"``; of ``""``, the undecided ones."""
        return self.where(lambda item: item.split == split)

    def where(self, wanted: Callable[[DataItem], bool]) -> DataList:
        """The cases that `wanted` says yes to."""
        return self.with_items([item for item in self.items if wanted(item)])

    def with_items(self, items: Sequence[DataItem], *notes: str) -> DataList:
        """The same list with other cases."""
        return dataclasses.replace(self, items=tuple(items), notes=(*self.notes, *notes))

    def by_patient(self) -> dict[str, tuple[DataItem, ...]]:
        """Cases of each patient, in order of ``"visit"`` and ``"delay"`` where these are known.

        A case without a patient is a patient of its own, under its name.
        """
        groups: dict[str, list[DataItem]] = {}
        for item in self.items:
            groups.setdefault(item.patient or item.name, []).append(item)
        return {patient: tuple(sorted(items, key=_moment)) for patient, items in groups.items()}

    def absolute(self) -> DataList:
        """The same cases with absolute paths, which a process that runs in another folder finds, too."""
        items = [
            dataclasses.replace(
                item, files={key: tuple(_absolute(source) for source in item.files[key]) for key in item.files}
            )
            for item in self.items
        ]
        return dataclasses.replace(self, items=tuple(items), root=self.root.absolute())

    def dicts(self, split: str | None = None) -> list[dict[str, object]]:
        """Dictionaries for MONAI's datasets, of one part or of all cases (None)."""
        return [item.as_dict() for item in self.items if split is None or item.split == split]

    def relative(self, source: Source) -> str:
        """Text of a source, relative to `root` where the file system allows it, with forward slashes."""
        return relative_text(source, self.root)


def relative_text(source: Source, root: Path) -> str:
    """`medai.training.data.item.parse_source` backwards."""
    path = source.path if isinstance(source, ArrayReference) else source
    try:
        text = Path(os.path.relpath(path, root)).as_posix()
    except ValueError:  # another drive of a Windows computer
        text = path.absolute().as_posix()
    return f"{text}#{source.array}:{source.index}" if isinstance(source, ArrayReference) else text


def _absolute(source: Source) -> Source:
    if isinstance(source, ArrayReference):
        return dataclasses.replace(source, path=source.path.absolute())
    return source.absolute()


def _moment(item: DataItem) -> tuple[float, float]:
    visit, delay = (item.values.get(key) for key in ("visit", "delay"))
    return tuple(float(v) if isinstance(v, (int, float)) else 0.0 for v in (visit, delay))  # type: ignore[return-value]
