"""Which widget can show a parameter of which type, and how. The pairs are those that Slicer knows."""

from __future__ import annotations

import enum
import pathlib
import types
import typing
from collections.abc import Callable
from typing import Any

import slicer
from PySide6 import QtWidgets

from ..ctk_module import ctkCheckBox, ctkComboBox, ctkDoubleSpinBox, ctkPathLineEdit, ctkSliderWidget
from ..node_combo_box import qMRMLNodeComboBox
from .storage import split
from .validators import Choice, WithinRange


class Connector:
    """A widget and the property of it that holds the value.

    Parameters
    ----------
    widget : QWidget
    signal : str
        Emitted when the person, or the program, changes the widget.
    read, write : callable
        ``read(widget)`` and ``write(widget, value)``.
    """

    def __init__(self, widget: Any, signal: str | None, read: Callable, write: Callable) -> None:
        self._widget, self._signal, self._read, self._write = widget, signal, read, write
        self._callback: Callable | None = None
        self._connected = False

    def widget(self) -> Any:
        """The widget."""
        return self._widget

    def read(self) -> Any:
        """The value in the widget."""
        return self._read(self._widget)

    def write(self, value: Any) -> None:
        """Show a value."""
        self._write(self._widget, value)

    def onChanged(self, callback: Callable | None) -> None:
        """Call this whenever the widget changes; None to stop."""
        self._callback = callback
        if self._signal is None or self._connected == (callback is not None):
            return
        signal = getattr(self._widget, self._signal)
        (signal.disconnect if self._connected else signal.connect)(self._changed)
        self._connected = not self._connected

    def _changed(self) -> None:
        if self._callback:
            self._callback()


def createGuiConnector(widget: Any, datatype: Any) -> Connector:
    """Connect a widget with a (possibly annotated) type.

    Raises
    ------
    RuntimeError
        If Slicer cannot show this type in this widget, or lacks an annotation for it.
    """
    kind, annotations = split(datatype)
    for widget_types, fits, create in _PAIRS:
        # The exact class counts in Slicer, so a derived widget is refused here too.
        if type(widget) in widget_types and fits(kind):
            return create(widget, kind, annotations)
    raise RuntimeError(f"Slicer has no connector between a {type(widget).__name__} and {datatype!r}")


def _property(name: str, signal: str | None) -> Callable:
    def create(widget: Any, kind: Any, annotations: list) -> Connector:
        def write(target: Any, value: Any) -> None:
            if getattr(target, name) != value:  # writing the same text again would move the cursor
                setattr(target, name, value)

        return Connector(widget, signal, lambda source: getattr(source, name), write)

    return create


def _push_button(widget: Any, kind: Any, annotations: list) -> Connector:
    widget.checkable = True
    return _property("checked", "toggled")(widget, kind, annotations)


def _number(widget: Any, kind: Any, annotations: list) -> Connector:
    limits = [item for item in annotations if isinstance(item, WithinRange)]
    low = next((item.minimum for item in limits if item.minimum is not None), None)
    high = next((item.maximum for item in limits if item.maximum is not None), None)
    if type(widget) in (QtWidgets.QSlider, ctkSliderWidget) and None in (low, high):
        raise RuntimeError(f"A {type(widget).__name__} needs a parameter with WithinRange")
    whole = type(widget) in (QtWidgets.QSlider, QtWidgets.QSpinBox)
    if kind is int and not whole:
        widget.decimals = 0
    widget.minimum = low if low is not None else (-(2**31) if whole else float("-inf"))
    widget.maximum = high if high is not None else (2**31 - 1 if whole else float("inf"))
    return Connector(
        widget, "valueChanged", lambda source: kind(source.value), lambda target, value: setattr(target, "value", value)
    )


def _choice(widget: Any, kind: Any, annotations: list) -> Connector:
    choices = next((item.choices for item in annotations if isinstance(item, Choice)), None)
    if choices is None:
        raise RuntimeError("A combo box needs a parameter with Choice")
    return _combo_box(widget, [(str(choice), choice) for choice in choices])


def _enumeration(widget: Any, kind: Any, annotations: list) -> Connector:
    label = getattr(kind, "label", lambda member: member.name)
    return _combo_box(widget, [(label(member), member) for member in kind])


def _combo_box(widget: Any, entries: list[tuple[str, Any]]) -> Connector:
    widget.clear()
    widget.addItems([text for text, _value in entries])
    values = [value for _text, value in entries]

    def write(target: Any, value: Any) -> None:
        target.currentIndex = values.index(value)

    return Connector(widget, "currentIndexChanged", lambda source: values[source.currentIndex], write)


def _text_edit(widget: Any, kind: Any, annotations: list) -> Connector:
    return Connector(
        widget, "textChanged", lambda source: source.toPlainText(), lambda target, value: target.setPlainText(value)
    )


def _path(widget: Any, kind: Any, annotations: list) -> Connector:
    def write(target: Any, value: Any) -> None:
        target.currentPath = str(value)

    return Connector(widget, "currentPathChanged", lambda source: kind(source.currentPath), write)


def _node(widget: Any, kind: Any, annotations: list) -> Connector:
    widget.nodeTypes = [item().GetClassName() for item in _members(kind) if item is not type(None)]
    return Connector(
        widget,
        "currentNodeChanged",
        lambda source: source.currentNode(),
        lambda target, value: target.setCurrentNode(value),
    )


def _members(kind: Any) -> list[Any]:
    union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    return [split(item)[0] for item in typing.get_args(kind)] if union else [kind]


def _is_node(kind: Any) -> bool:
    members = _members(kind)
    return all(isinstance(item, type) and issubclass(item, (slicer.vtkMRMLNode, type(None))) for item in members)


def _is_kind(*kinds: type) -> Callable[[Any], bool]:
    return lambda kind: kind in kinds


def _derives_from(base: type) -> Callable[[Any], bool]:
    return lambda kind: isinstance(kind, type) and issubclass(kind, base)


_COMBO_BOXES = (QtWidgets.QComboBox, ctkComboBox)
_PAIRS: tuple[tuple[tuple, Callable, Callable], ...] = (
    ((QtWidgets.QCheckBox, ctkCheckBox), _is_kind(bool), _property("checked", "stateChanged")),
    ((QtWidgets.QPushButton,), _is_kind(bool), _push_button),
    ((QtWidgets.QSlider, QtWidgets.QSpinBox), _is_kind(int), _number),
    ((QtWidgets.QDoubleSpinBox, ctkDoubleSpinBox, ctkSliderWidget), _is_kind(int, float), _number),
    (_COMBO_BOXES, _is_kind(int, float, str, bool), _choice),
    (_COMBO_BOXES, _derives_from(enum.Enum), _enumeration),
    ((QtWidgets.QLineEdit,), _is_kind(str), _property("text", "textChanged")),
    ((QtWidgets.QLabel,), _is_kind(str), _property("text", None)),
    ((QtWidgets.QTextEdit,), _is_kind(str), _text_edit),
    ((ctkPathLineEdit,), _derives_from(pathlib.PurePath), _path),
    ((qMRMLNodeComboBox,), _is_node, _node),
)
