"""How a value of some type lies in a parameter node."""

from __future__ import annotations

import enum
import pathlib
import types
import typing
from collections.abc import MutableSequence
from typing import Any

import slicer

from ..not_imitated import NotImitated
from .validators import Default, Validator


def split(annotated: Any) -> tuple[Any, list[Any]]:
    """``Annotated[int, x]`` to ``(int, [x])``; a type without annotations to ``(type, [])``."""
    if typing.get_origin(annotated) is typing.Annotated:
        kind, *annotations = typing.get_args(annotated)
        return kind, annotations
    return annotated, []


class Storage:
    """One value, as text under the parameter's name.

    Parameters
    ----------
    kind : type
        Also makes the value from the text.
    default : object
        The value as long as none was set.
    """

    def __init__(self, kind: type, default: Any, accepted: type | tuple[type, ...] | None = None) -> None:
        self.kind = kind
        self.default = default
        self._accepted = accepted or kind

    def accepts(self, value: Any) -> bool:
        """Whether the value is of this type."""
        return isinstance(value, self._accepted)

    def check(self, value: Any) -> None:
        """Raise `TypeError` if the value is not of this type."""
        if not self.accepts(value):
            raise TypeError(f"{value!r} is a {type(value).__name__}, not a {getattr(self.kind, '__name__', self.kind)}")

    def present(self, node: Any, name: str) -> bool:
        """Whether the node has the parameter."""
        return bool(node.HasParameter(name))

    def write(self, node: Any, name: str, value: Any) -> None:
        """Put a value that was checked into the node."""
        node.SetParameter(name, str(value))

    def read(self, node: Any, name: str) -> Any:
        """The value in the node."""
        return self.kind(node.GetParameter(name))

    def remove(self, node: Any, name: str) -> None:
        """Take the parameter out of the node."""
        node.UnsetParameter(name)


class _Bool(Storage):
    def read(self, node: Any, name: str) -> bool:
        return node.GetParameter(name) == "True"


class _Enum(Storage):
    def write(self, node: Any, name: str, value: enum.Enum) -> None:
        node.SetParameter(name, value.name)

    def read(self, node: Any, name: str) -> enum.Enum:
        return self.kind[node.GetParameter(name)]


class _Nothing(Storage):
    def write(self, node: Any, name: str, _value: None) -> None:
        node.SetParameter(name, "True")

    def read(self, node: Any, name: str) -> None:
        return None


class _Node(Storage):
    """A node reference; the empty parameter of the same name says that it was set, be it to None."""

    def accepts(self, value: Any) -> bool:
        return value is None or isinstance(value, self.kind)

    def write(self, node: Any, name: str, value: Any) -> None:
        node.SetParameter(name, "")
        node.SetNodeReferenceID(name, value.GetID() if value is not None else None)

    def read(self, node: Any, name: str) -> Any:
        return node.GetNodeReference(name)

    def remove(self, node: Any, name: str) -> None:
        node.UnsetParameter(name)
        node.RemoveNodeReferenceIDs(name)


class _List(Storage):
    """Elements under ``name.0``, ``name.1``, ..., and their number under ``name.len``."""

    def __init__(self, element: Checked) -> None:
        super().__init__(list, [])
        self._element = element

    def accepts(self, value: Any) -> bool:
        return isinstance(value, (list, tuple, StoredList))

    def check(self, value: Any) -> None:
        super().check(value)
        for item in value:
            self._element.check(item)

    def present(self, node: Any, name: str) -> bool:
        return bool(node.HasParameter(f"{name}.len"))

    def _length(self, node: Any, name: str) -> int:
        return int(node.GetParameter(f"{name}.len") or 0)

    def write(self, node: Any, name: str, value: Any) -> None:
        for index in range(len(value), self._length(node, name)):
            self._element.remove(node, f"{name}.{index}")
        for index, item in enumerate(value):
            self._element.write(node, f"{name}.{index}", item)
        node.SetParameter(f"{name}.len", str(len(value)))

    def read(self, node: Any, name: str) -> StoredList:
        items = [self._element.read(node, f"{name}.{index}") for index in range(self._length(node, name))]
        return StoredList(items, lambda changed: Checked(self, []).store(node, name, changed))

    def remove(self, node: Any, name: str) -> None:
        self.write(node, name, [])
        node.UnsetParameter(f"{name}.len")


class StoredList(MutableSequence):
    """A list parameter: changing it changes the parameter node. Not a `list`, as in Slicer, but equal to one."""

    def __init__(self, items: list, store: Any) -> None:
        self._items, self._store = items, store

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def _change(self, verb: str, *arguments: Any) -> None:
        changed = list(self._items)
        getattr(changed, verb)(*arguments)
        self._store(changed)
        self._items = changed

    def __setitem__(self, index: Any, value: Any) -> None:
        self._change("__setitem__", index, value)

    def __delitem__(self, index: Any) -> None:
        self._change("__delitem__", index)

    def insert(self, index: int, value: Any) -> None:
        """Put a value before an index."""
        self._change("insert", index, value)

    def __eq__(self, other: object) -> bool:
        return self._items == (other._items if isinstance(other, StoredList) else other)

    __hash__ = None

    def __repr__(self) -> str:
        return f"StoredList({self._items})"


class _Union(Storage):
    """The value of the first member type that takes it, under ``name.<index of the member>``."""

    def __init__(self, members: list[Checked], kind: Any) -> None:
        optional = len(members) == 2 and isinstance(members[1].storage, _Nothing)
        super().__init__(kind, None if optional else members[0].storage.default)
        self._members = members

    def _member(self, value: Any) -> int | None:
        exact = [index for index, member in enumerate(self._members) if self._takes(member, value)]
        return exact[0] if exact else None

    @staticmethod
    def _takes(member: Checked, value: Any) -> bool:
        # A node type alone takes None too, but in a union the None member does.
        return isinstance(member.storage, _Nothing) if value is None else member.storage.accepts(value)

    def accepts(self, value: Any) -> bool:
        return self._member(value) is not None

    def check(self, value: Any) -> None:
        super().check(value)
        self._members[self._member(value)].check(value)

    def present(self, node: Any, name: str) -> bool:
        return any(member.present(node, f"{name}.{index}") for index, member in enumerate(self._members))

    def write(self, node: Any, name: str, value: Any) -> None:
        self.remove(node, name)
        index = self._member(value)
        # The default of a union whose first member is a node is None even without a None member.
        self._members[index or 0].write(node, f"{name}.{index or 0}", value)

    def read(self, node: Any, name: str) -> Any:
        for index, member in enumerate(self._members):
            if member.present(node, f"{name}.{index}"):
                return member.read(node, f"{name}.{index}")
        raise KeyError(name)

    def remove(self, node: Any, name: str) -> None:
        for index, member in enumerate(self._members):
            member.remove(node, f"{name}.{index}")


class Checked:
    """A storage and the validators of the annotated type."""

    def __init__(self, storage: Storage, validators: list[Validator]) -> None:
        self.storage, self.validators = storage, validators
        self.present, self.read, self.remove, self.write = storage.present, storage.read, storage.remove, storage.write

    def check(self, value: Any) -> None:
        """Raise `TypeError` or `ValueError` if the value is refused."""
        self.storage.check(value)
        for validator in self.validators:
            validator.validate(value)

    def store(self, node: Any, name: str, value: Any) -> None:
        """Check a value and put it into the node, as one modification."""
        self.check(value)
        with slicer.util.NodeModify(node):
            self.write(node, name, value)


def storage_for(annotated: Any) -> tuple[Checked, Default]:
    """Storage of an annotated type, and its default.

    Raises
    ------
    NotImitated
        If Slicer stores the type and the stand-in does not, or neither does.
    """
    kind, annotations = split(annotated)
    defaults = [item for item in annotations if isinstance(item, Default)]
    storage = _plain_storage(kind)
    checked = Checked(storage, [item for item in annotations if isinstance(item, Validator)])
    return checked, (defaults[0] if defaults else Default(storage.default))


def _plain_storage(kind: Any) -> Storage:
    simple = {
        str: lambda: Storage(str, ""),
        int: lambda: Storage(int, 0),
        float: lambda: Storage(float, 0, (int, float)),
        bool: lambda: _Bool(bool, False),
        type(None): lambda: _Nothing(type(None), None),
    }
    if kind in simple:
        return simple[kind]()
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return _Union([storage_for(item)[0] for item in arguments], kind)
    if typing.get_origin(kind) is list:
        return _List(storage_for(arguments[0])[0])
    if isinstance(kind, type):
        if issubclass(kind, slicer.vtkMRMLNode):
            return _Node(kind, None)
        if issubclass(kind, enum.Enum):
            return _Enum(kind, next(iter(kind)))
        if issubclass(kind, pathlib.PurePath):
            return Storage(kind, kind())
    raise NotImitated(f"A parameter of type {kind!r}")
