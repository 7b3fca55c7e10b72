"""Several data lists as one: the same pictures at two sizes, the cases of two hospitals."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medai.errors import InputError
from medai.training.data.datalist import DataList


def together(lists: Sequence[DataList]) -> DataList:
    """All cases of several lists.

    Cases of the same name get their list's name before it. The same patient in two lists is one patient. A list without
    any class for its labels takes the names of another.

    Parameters
    ----------
    lists : sequence of DataList
        Made for the same task; their parts stay as they are.

    Raises
    ------
    InputError
        When they are for different tasks, or call a label by different names.
    """
    first, *others = lists
    if not others:
        return first
    names = dict(first.label_names)
    for other in others:
        if (other.task, other.multi_label) != (first.task, first.multi_label):
            raise _different(first, other, "They are made for different tasks.")
        for value, name in other.label_names.items():
            if names.setdefault(value, name) != name:
                raise _different(
                    first, other, f"The label {value} is '{names[value]}' in one and '{name}' in the other."
                )
    count = Counter(item.name for data in lists for item in data)
    items = [
        replace(item, name=f"{data.name}: {item.name}") if count[item.name] > 1 else item
        for data in lists
        for item in data
    ]
    return DataList(
        tuple(items),
        first.task,
        names,
        first.multi_label,
        _common_folder([data.root for data in lists]),
        " + ".join(data.name for data in lists),
        tuple(f"{data.name}: {note}" for data in lists for note in data.notes),
    )


def _common_folder(folders: Sequence[Path]) -> Path:
    try:
        return Path(os.path.commonpath([folder.absolute() for folder in folders]))
    except ValueError:  # on different drives of a Windows computer
        return folders[0]


def _different(first: DataList, other: DataList, why: str) -> InputError:
    return InputError(
        f"'{first.name}' and '{other.name}' cannot be learned from together.",
        why,
        "Give data of one kind, or train a model of each.",
    )
