"""PythonQt's habits on PySide6: properties are attributes, signals are connected by their C++ signature.

The classes of PySide6 are changed in place, because Qt hands out objects that no Python code created (a layout, a spin
box's line edit), and these must have the same habits. Slicer's own Python process has only one Qt binding too.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import MethodType
from typing import Any

import PySide6
from PySide6 import QtCore, QtGui, QtWidgets

from .tool_tips import set_tool_tip

if PySide6.__version_info__[:3] == (6, 12, 0) and sys.version_info < (3, 12):
    # Each call that returns nothing takes one reference from None; after some thousands of calls Python aborts.
    raise ImportError("PySide6 6.12.0 makes Python before 3.12 abort. Install another: PySide6-Essentials!=6.12.0")

IMITATED = "_imitates_cpp_class"
"""Marks a Python class as standing for a C++ class: in its own ``__dict__``, so that subclasses are ordinary again."""

ALIASES = "_signal_aliases"
"""Name of a class's ``{"currentNodeChanged(vtkMRMLNode*)": "currentNodeChanged"}``: C++ signature to Python signal."""

_connect_by_signature = QtCore.QObject.connect
_disconnect_by_signature = QtCore.QObject.disconnect
# QObject's own __setattr__ can no longer be called once the subclasses' is replaced (CPython forbids the jump); this is
# the one below it, which knows everything but PySide6's Property.
_set_attribute = next(cls for cls in QtCore.QObject.__mro__ if cls.__module__ == "Shiboken").__setattr__


class PropertyAttribute:
    """A Qt property, read and written like an attribute of an object.

    On the class itself the method of the same name stays reachable: ``qt.QTimer.singleShot(0, f)`` is the static
    function although ``timer.singleShot`` is a property.
    """

    def __init__(self, name: str, owner: type, writable: bool) -> None:
        self.name = name
        self.writable = writable
        self.method = inspect.getattr_static(owner, name, None)
        capital = name[0].upper() + name[1:]
        candidates = (name, "is" + capital)
        methods = (inspect.getattr_static(owner, candidate, None) for candidate in candidates)
        self._getter = next(
            (m for m in methods if inspect.ismethoddescriptor(m) and not isinstance(m, staticmethod)), None
        )
        self._setter = inspect.getattr_static(owner, "set" + capital, None)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            if self.method is None:
                raise AttributeError(self.name)
            return self.method.__get__(None, owner) if hasattr(self.method, "__get__") else self.method
        if self._getter is not None:
            return self._getter.__get__(instance, type(instance))()
        return QtCore.QObject.property(instance, self.name)

    def __set__(self, instance: Any, value: Any) -> None:
        if not self.writable:
            raise AttributeError(f"Property '{self.name}' of {type(instance).__name__} object is not writable")
        if self._setter is not None:
            self._setter.__get__(instance, type(instance))(value)
        elif not QtCore.QObject.setProperty(instance, self.name, value):
            raise AttributeError(
                f"Property '{self.name}' of {type(instance).__name__} object does not accept {type(value).__name__}"
            )


class NameAttribute:
    """PythonQt's short form of ``objectName``."""

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else QtCore.QObject.property(instance, "objectName")

    def __set__(self, instance: Any, value: str) -> None:
        QtCore.QObject.setProperty(instance, "objectName", value)


def _attribute_reader(read: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """Read as PythonQt does: dynamic properties are attributes too. `read` is the class's own way."""

    def get_attribute(instance: Any, name: str) -> Any:
        # PySide6 serves these two from C++, past whatever the class says.
        if name in ("connect", "disconnect") and not _defined_in_python(type(instance), name):
            return MethodType(connect if name == "connect" else disconnect, instance)
        try:
            return read(instance, name)
        except AttributeError:
            if not name.startswith("_") and name in _dynamic_properties(instance):
                return QtCore.QObject.property(instance, name)
            raise

    return get_attribute


def _defined_in_python(cls: type, name: str) -> bool:
    owner = next((base for base in cls.__mro__ if name in vars(base)), object)
    return not owner.__module__.startswith("PySide6.")


def _dynamic_properties(instance: QtCore.QObject) -> set[str]:
    return {bytes(name).decode() for name in QtCore.QObject.dynamicPropertyNames(instance)}


_children_are_named = ContextVar("_children_are_named", default=False)


@contextmanager
def without_child_attributes() -> Iterator[None]:
    """Meanwhile drop assignments of widgets to widgets: PySide6's loader makes each child an attribute of the root."""
    token = _children_are_named.set(True)
    try:
        yield
    finally:
        _children_are_named.reset(token)


def set_attribute(instance: Any, name: str, value: Any) -> None:
    """Assign as PythonQt does: C++ objects take their properties and nothing else."""
    if _children_are_named.get() and isinstance(value, QtCore.QObject) and value.objectName == name:
        return
    if isinstance(value, QtCore.SignalInstance):  # PySide6 itself, when a signal is looked up for the first time
        _set_attribute(instance, name, value)
        return
    attribute = inspect.getattr_static(type(instance), name, None)
    if isinstance(attribute, QtCore.Property):
        attribute.fset(instance, value)
    elif hasattr(attribute, "__set__") or not _stands_for_cpp(type(instance)) or name.startswith("_"):
        _set_attribute(instance, name, value)
    elif name in _dynamic_properties(instance):
        QtCore.QObject.setProperty(instance, name, value)
    elif attribute is not None:
        raise AttributeError(f"Slot '{name}' can not be overwritten on {type(instance).__name__}")
    else:
        raise AttributeError(
            f"'{name}' does not exist on {type(instance).__name__} and creating new attributes on C++ objects "
            "is not allowed"
        )


def _stands_for_cpp(cls: type) -> bool:
    return cls.__module__.startswith("PySide6.") or IMITATED in vars(cls)


def is_property(cls: type, name: str) -> bool:
    """Whether a Qt class, or an imitated one, has this property."""
    return isinstance(inspect.getattr_static(cls, name, None), (PropertyAttribute, QtCore.Property))


def connect(sender: QtCore.QObject, *arguments: Any) -> bool:
    """Connect ``sender.connect("clicked(bool)", callable)`` or ``(signal, object, "slot(bool)")``.

    Slicer only warns on the console when the signal does not exist, and the panel stays dead; here it is an error.

    Raises
    ------
    ValueError
        If the sender has no such signal.
    """
    if _comes_from_pyside(arguments):
        return _connect_by_signature(*arguments)
    return _for_signature(*_connection(sender, arguments), "connect", _connect_by_signature)


def disconnect(sender: QtCore.QObject, *arguments: Any) -> bool:
    """Undo `connect` with the same arguments."""
    if _comes_from_pyside(arguments):
        return _disconnect_by_signature(*arguments)
    return _for_signature(*_connection(sender, arguments), "disconnect", _disconnect_by_signature)


def _comes_from_pyside(arguments: tuple) -> bool:
    """PySide6's ``signal.connect`` and ``QTimer.singleShot`` call back with (sender, "2signal()", slot, ...)."""
    return len(arguments) > 2 and isinstance(arguments[0], QtCore.QObject) and str(arguments[1]).startswith("2")


def _connection(sender: QtCore.QObject, arguments: tuple) -> tuple[QtCore.QObject, str, Callable]:
    if isinstance(arguments[0], QtCore.QObject):  # qt.QObject.connect(sender, signal, ...)
        sender, *arguments = arguments
    signal, *receiver = arguments
    if len(receiver) == 2:
        target, slot = receiver
        receiver = [getattr(target, slot.lstrip("012").split("(")[0])]
    if len(receiver) != 1 or not callable(receiver[0]):
        raise TypeError(f"{signal} of {type(sender).__name__} was given {receiver!r}, which cannot be called")
    return sender, bytes(QtCore.QMetaObject.normalizedSignature(signal.lstrip("2"))).decode(), receiver[0]


def _for_signature(sender: QtCore.QObject, signature: str, slot: Callable, verb: str, by_signature: Callable) -> bool:
    for cls in type(sender).__mro__:
        if signature in vars(cls).get(ALIASES, {}):
            getattr(getattr(sender, vars(cls)[ALIASES][signature]), verb)(slot)
            return True
    if QtCore.QObject.metaObject(sender).indexOfSignal(signature) < 0:
        raise ValueError(f"{type(sender).__name__} has no signal {signature}")
    return bool(by_signature(sender, "2" + signature, slot))


def qobject_classes() -> list[type]:
    """Every class of PySide6's QtCore, QtGui and QtWidgets that derives from QObject."""
    # PySide6 creates its classes on first access, so a module's __dict__ does not hold them all.
    found = (getattr(module, name) for module in (QtCore, QtGui, QtWidgets) for name in dir(module))
    return [cls for cls in found if isinstance(cls, type) and issubclass(cls, QtCore.QObject)]


def adopt_habits() -> None:
    """Give PySide6's classes PythonQt's habits. Doing it twice changes nothing more."""
    if isinstance(vars(QtCore.QObject).get("name"), NameAttribute):
        return
    QtWidgets.QWidget.setToolTip = set_tool_tip
    classes = qobject_classes()
    # Getters are looked up on the untouched classes first, so that a property never finds another one.
    attributes = [(cls, attribute) for cls in classes for attribute in _properties(cls)]
    # Some classes (QFile for its static and non-static exists) have a way of their own, so each keeps its.
    readers = [(cls, cls.__getattribute__) for cls in classes]
    for cls, attribute in attributes:
        setattr(cls, attribute.name, attribute)
    for cls, read in readers:
        cls.__setattr__ = set_attribute
        cls.__getattribute__ = _attribute_reader(read)
    QtCore.QObject.connect = connect
    QtCore.QObject.disconnect = disconnect
    QtCore.QObject.className = lambda self: QtCore.QObject.metaObject(self).className()
    QtCore.QObject.name = NameAttribute()


def _properties(cls: type) -> list[PropertyAttribute]:
    meta = cls.staticMetaObject
    own = [meta.property(index) for index in range(meta.propertyCount())]
    # A class that redefines the getter of an inherited property (QSpinBox of QWidget.sizeHint) needs its own too.
    return [
        PropertyAttribute(item.name(), cls, item.isWritable())
        for index, item in enumerate(own)
        if index >= meta.propertyOffset() or item.name() in vars(cls)
    ]
