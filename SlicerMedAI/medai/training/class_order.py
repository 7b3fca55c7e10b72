"""Which class of the data is which of the model: by name, for each numbers its classes as it likes."""

from __future__ import annotations

from collections.abc import Iterable

from medai.bundles.description import Description
from medai.bundles.labels import spoken
from medai.errors import InputError
from medai.training.data import DataList


def in_order_of(data: DataList, description: Description) -> DataList:
    """The same cases, their labels numbered as the model numbers its classes.

    A class without a name of its own, in the data or in the model, is told by its number.

    Parameters
    ----------
    data : DataList
        With classes or findings as labels.
    description : Description
        Of a classifier.

    Raises
    ------
    InputError
        When a class that occurs in the data has a name that the model does not know.
    """
    if data.multi_label:
        return _findings_in_order(data, description)
    number = _numbers(data, description, {item.label for item in data if isinstance(item.label, int)})
    items = [item.with_values(label=number[item.label]) if isinstance(item.label, int) else item for item in data]
    return data.with_items(items)


def names_in(data: DataList, description: Description) -> dict[int, str]:
    """What the model calls every class of the data's boxes.

    Raises
    ------
    InputError
        As `in_order_of`.
    """
    labels = {label for item in data if isinstance(item.label, tuple) for label in item.label if isinstance(label, int)}
    known = dict(enumerate(description.classes))
    return {value: known.get(n, f"class {n}") for value, n in _numbers(data, description, labels).items()}


def _findings_in_order(data: DataList, description: Description) -> DataList:
    width = max((len(item.label) for item in data if isinstance(item.label, tuple)), default=0)
    number = _numbers(data, description, range(width))
    if all(number[place] == place for place in number):
        return data
    place_of = {number[place]: place for place in number}
    order = [place_of.get(n) for n in range(len(description.classes))]
    items = [
        item.with_values(label=[None if place is None else item.label[place] for place in order])
        if isinstance(item.label, tuple)
        else item
        for item in data
    ]
    return data.with_items(items)


def _numbers(data: DataList, description: Description, values: Iterable[int]) -> dict[int, int]:
    """Number in the model of every value in the data."""
    known = {spoken(name).casefold(): number for number, name in enumerate(description.classes)}
    found: dict[int, int] = {}
    for value in sorted(values):
        name = data.label_names.get(value, "")
        if spoken(name).casefold() in known:
            found[value] = known[spoken(name).casefold()]
        elif _is_unnamed(name, value) or _is_unnamed(dict(enumerate(description.classes)).get(value, ""), value):
            found[value] = value
        else:
            raise InputError(
                f"The model '{description.name}' does not know the class '{name}'.",
                f"It tells apart {', '.join(description.classes)}.",
                "Call it what the model calls it (--label CLASS=NAME), or leave out its cases (--label CLASS=).",
            )
    return found


def _is_unnamed(name: str, value: int) -> bool:
    return name in ("", str(value), f"class {value}", f"finding {value}")
