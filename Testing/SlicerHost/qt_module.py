"""Slicer's module ``qt``: everything of Qt under one name, as PythonQt offers it."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from .not_imitated import NotImitated
from .person import Person
from .pythonqt import adopt_habits
from .ui_loader import QUiLoader

PYSIDE_ONLY = {
    "Signal",
    "SignalInstance",
    "Slot",
    "Property",
    "ClassInfo",
    "QEnum",
    "QFlag",
    "SIGNAL",
    "SLOT",
    "QtMsgType",
}
"""Names that PySide6 has and PythonQt has not."""


def create_qt_module(person: Person) -> ModuleType:
    """Build the module.

    Parameters
    ----------
    person : Person
        Answers every modal dialog.
    """
    adopt_habits()
    _let_person_answer(person)
    module = ModuleType("qt", "Qt as PythonQt offers it to Slicer's modules.")
    module.QUiLoader = QUiLoader

    def find(name: str) -> Any:
        for source in (QtCore, QtGui, QtWidgets):
            if name not in PYSIDE_ONLY and not name.startswith("__") and hasattr(source, name):
                setattr(module, name, getattr(source, name))
                return getattr(source, name)
        raise NotImitated(f"qt.{name}")

    module.__getattr__ = find
    return module


def _let_person_answer(person: Person) -> None:
    """Replace everything in Qt that waits for a person."""

    def execute(dialog: QtWidgets.QDialog) -> int:
        return person.meets(dialog)

    dialogs = (getattr(QtWidgets, name) for name in dir(QtWidgets))
    for cls in dialogs:
        if isinstance(cls, type) and issubclass(cls, QtWidgets.QDialog):
            cls.exec = cls.exec_ = execute
    for name, icon in (
        ("information", "Information"),
        ("warning", "Warning"),
        ("critical", "Critical"),
        ("question", "Question"),
    ):
        setattr(QtWidgets.QMessageBox, name, staticmethod(_message_function(person, icon)))
    for name in ("getOpenFileName", "getSaveFileName", "getExistingDirectory"):
        setattr(QtWidgets.QFileDialog, name, staticmethod(_text_function(person)))
    QtWidgets.QInputDialog.getText = staticmethod(_text_function(person))
    QtWidgets.QMenu.exec_ = QtWidgets.QMenu.exec = _no_menu


def _message_function(person: Person, icon: str) -> Any:
    box = QtWidgets.QMessageBox
    question = icon == "Question"
    usual = box.StandardButton.Yes | box.StandardButton.No if question else box.StandardButton.Ok

    def show(parent: Any, title: str, text: str, buttons: Any = usual, default: Any = None) -> Any:
        dialog = box(box.Icon[icon], title, text, buttons, parent)
        if default is not None:
            dialog.setDefaultButton(default)
        return box.StandardButton(person.meets(dialog))

    return show


def _text_function(person: Person) -> Any:
    def ask(parent: Any = None, title: str = "", label: str = "", *others: Any) -> str:
        return person.tells(title, label)

    return ask


def _no_menu(menu: QtWidgets.QMenu, *arguments: Any) -> None:
    raise NotImitated("qt.QMenu.exec_", "Trigger the menu's actions instead.")
