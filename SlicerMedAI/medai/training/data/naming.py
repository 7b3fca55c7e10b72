"""What a person calls the labels and classes of data, where the data call them otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from medai.errors import InputError
from medai.training.data.datalist import DataList
from medai.training.data.folders import classified


def renamed(data: DataList, names: Mapping[int | str, str]) -> DataList:
    """A list whose labels are called otherwise; classes that are given one name become one class.

    Parameters
    ----------
    data : DataList
    names : mapping of int or str to str
        New name by a label's number or its name. ``{"benign": "other", "normal": "other"}`` makes one class of two; an
        empty new name leaves out the cases of a class.

    Raises
    ------
    InputError
        When there is no label of that name, or labels are to become one that are no classes of whole cases.

    Examples
    --------
    >>> data = DataList((), "classify", {0: "benign", 1: "malignant"})
    >>> renamed(data, {"benign": "not malignant"}).label_names
    {0: 'not malignant', 1: 'malignant'}
    """
    if any(isinstance(key, str) for key in names):
        data = classified(data)  # images with label maps: whoever names a class means those in the images' names
    numbers = {name.strip().casefold(): number for number, name in data.label_names.items()}
    unknown = next((key for key in names if isinstance(key, str) and key.strip().casefold() not in numbers), None)
    if unknown is not None:
        raise InputError(
            f"There is no label '{unknown}' in '{data.name}'.",
            f"Its labels are {', '.join(data.label_names.values())}." if numbers else "Its labels have no names.",
            "Correct the name, or write the label's number.",
        )
    new = {
        key if isinstance(key, int) else numbers[key.strip().casefold()]: name.strip() for key, name in names.items()
    }
    called = {**data.label_names, **new}
    if len(set(called.values()) - {""}) == len(called):
        return replace(data, label_names=called)
    return _fewer(data, called)


def _fewer(data: DataList, called: Mapping[int, str]) -> DataList:
    """With less classes than before."""
    classes = {item.label for item in data if isinstance(item.label, int)}
    if data.task != "classify" or any(item.label is not None and item.label not in classes for item in data):
        raise InputError(
            "Two labels cannot be one, nor can one be left out, in these data.",
            "That is possible with classes, of which every case has one.",
            "Give every label a name of its own.",
        )
    named = {number: called.get(number, str(number)) for number in sorted({*called, *classes})}
    order = {name: number for number, name in enumerate(dict.fromkeys(filter(None, named.values())))}
    items = [
        item.with_values(label=order[named[item.label]]) if isinstance(item.label, int) else item
        for item in data
        if not isinstance(item.label, int) or named[item.label]
    ]
    if not items:
        raise InputError("No case is left.", "The classes of all of them are left out.", "Leave out less.")
    gone = len(data) - len(items)
    fewer = data.with_items(items, *([f"{gone} cases were left out for their class."] if gone else []))
    return replace(fewer, label_names={number: name for name, number in order.items()})
