"""Loads Qt Designer's .ui files, unchanged, with the widgets of CTK and Slicer among Qt's own."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from PySide6 import QtCore, QtUiTools, QtWidgets

from .not_imitated import NotImitated
from .pythonqt import connect, is_property, without_child_attributes
from .tool_tips import wrap_tool_tips_below

CUSTOM_WIDGETS: dict[str, type[QtWidgets.QWidget]] = {}
"""Class name in the .ui file to the class that imitates it."""


class QUiLoader(QtUiTools.QUiLoader):
    """Qt's loader, told about the imitated widgets.

    Connections of the .ui file are made here and not by Qt, because signals such as ``mrmlSceneChanged(vtkMRMLScene*)``
    carry C++ types that Qt does not know in this process.
    """

    def createWidget(
        self, class_name: str, parent: QtWidgets.QWidget | None = None, name: str = ""
    ) -> QtWidgets.QWidget:
        """Called by Qt for each widget in the file."""
        if class_name not in CUSTOM_WIDGETS:
            return super().createWidget(class_name, parent, name)
        widget = CUSTOM_WIDGETS[class_name](parent)
        widget.setObjectName(name)
        # Qt has only the C++ half; without this the Python half goes, and takes the C++ half along.
        self._made.append(widget)
        return widget

    def load(self, device: QtCore.QFile, parent: QtWidgets.QWidget | None = None) -> QtWidgets.QWidget:
        """Read an opened file.

        Raises
        ------
        NotImitated
            If the file uses a widget or a property of a widget that the stand-in does not have.
        ValueError
            If a connection names an object, signal or slot that does not exist.
        """
        root = ET.fromstring(bytes(device.readAll()))
        for element in root.iter("widget"):
            self._check(element)
        connections = root.findall("connections/connection")
        for element in root.findall("connections"):
            root.remove(element)
        buffer = QtCore.QBuffer()
        buffer.setData(ET.tostring(root, encoding="utf-8"))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        self._made: list[QtWidgets.QWidget] = []
        with without_child_attributes():
            widget = super().load(buffer, parent)
        if widget is None:
            raise ValueError(f"Qt cannot load this file: {self.errorString()}")
        wrap_tool_tips_below(widget)
        self._made.clear()  # each is kept by its parent now, the outermost by the caller
        for connection in connections:
            _connect(widget, {child.tag: child.text for child in connection})
        return widget

    def _check(self, element: ET.Element) -> None:
        class_name = element.get("class")
        if class_name in self.availableWidgets():
            return
        if class_name not in CUSTOM_WIDGETS:
            raise NotImitated(f"Widget {class_name}")
        widget = CUSTOM_WIDGETS[class_name]
        for item in element.findall("property"):
            # A property with stdset="0" is a dynamic one: any name will do.
            if item.get("stdset") != "0" and not is_property(widget, item.get("name")):
                raise NotImitated(f"Property {class_name}.{item.get('name')}")


def _connect(widget: QtWidgets.QWidget, ends: dict[str, str]) -> None:
    sender, receiver = (_find(widget, ends[role]) for role in ("sender", "receiver"))
    slot = getattr(receiver, ends["slot"].split("(")[0], None)
    if slot is None:
        raise ValueError(f"{ends['receiver']} has no slot {ends['slot']}")
    connect(sender, ends["signal"], slot)


def _find(widget: QtWidgets.QWidget, name: str) -> QtCore.QObject:
    found = widget if QtCore.QObject.property(widget, "objectName") == name else widget.findChild(QtCore.QObject, name)
    if found is None:
        raise ValueError(f"The .ui file connects {name}, which is not in it")
    return found
