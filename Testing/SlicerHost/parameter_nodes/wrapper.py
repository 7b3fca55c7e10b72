"""The decorator ``@parameterNodeWrapper``."""

from __future__ import annotations

import typing
import weakref
from typing import Any

import slicer
import vtk
from PySide6 import QtWidgets

from .connectors import Connector, createGuiConnector
from .storage import Checked, storage_for
from .validators import Default

SlicerParameterNamePropertyName = "SlicerParameterName"


class Parameter:
    """A typed member of the wrapper: reading and assigning it goes to the parameter node."""

    def __init__(self, name: str, annotated: Any, checked: Checked, default: Default) -> None:
        self.name, self.annotated, self.checked, self.default = name, annotated, checked, default

    def __get__(self, wrapper: Any, owner: type | None = None) -> Any:
        return self if wrapper is None else wrapper._values[self.name]

    def __set__(self, wrapper: Any, value: Any) -> None:
        with slicer.util.NodeModify(wrapper.parameterNode):
            self.checked.store(wrapper.parameterNode, wrapper._prefix + self.name, value)
            self.refresh(wrapper)  # before the node's observers run, because they may ask for the value

    def refresh(self, wrapper: Any) -> None:
        """Read the value from the node."""
        wrapper._values[self.name] = self.checked.read(wrapper.parameterNode, wrapper._prefix + self.name)

    def initialize(self, wrapper: Any) -> None:
        """Put the default into a node that does not have the parameter. A node default is None whatever its type."""
        name = wrapper._prefix + self.name
        if not self.checked.present(wrapper.parameterNode, name):
            with slicer.util.NodeModify(wrapper.parameterNode):
                self.checked.write(wrapper.parameterNode, name, self.default.value)
        self.refresh(wrapper)


class _Wrapper:
    """What the decorator adds to the decorated class.

    As in Slicer, values are read from the node when it says that it was modified, not when they are asked for. While a
    scene is imported, a node reference is read before the node it names has come; a module that is open meanwhile must
    make a new wrapper at the end of the import.
    """

    allParameters: dict[str, Parameter]

    def __init__(self, parameterNode: Any, prefix: str | None = None) -> None:
        self.parameterNode = parameterNode
        self._prefix = prefix or ""
        self._guis: dict[int, tuple[dict[str, Connector], int]] = {}
        self._next_tag = 0
        self._updating_gui = False
        self._values: dict[str, Any] = {}
        for parameter in self.allParameters.values():
            parameter.initialize(self)
        this = weakref.ref(self)  # the node must not keep the wrapper alive
        tag = parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: this() and this()._refresh())
        weakref.finalize(self, parameterNode.RemoveObserver, tag)

    def _refresh(self) -> None:
        for parameter in self.allParameters.values():
            if parameter.checked.present(self.parameterNode, self._prefix + parameter.name):
                parameter.refresh(self)

    def default(self, name: str) -> Default:
        """The default of a parameter."""
        return self._parameter(name).default

    @classmethod
    def dataType(cls, name: str) -> Any:
        """The annotated type of a parameter."""
        return cls._parameter(name).annotated

    @classmethod
    def _parameter(cls, name: str) -> Parameter:
        if name not in cls.allParameters:
            raise ValueError(f"There is no parameter {name!r}, only {', '.join(cls.allParameters)}")
        return cls.allParameters[name]

    def getValue(self, name: str) -> Any:
        """Read a parameter by name."""
        return getattr(self, self._parameter(name).name)

    def setValue(self, name: str, value: Any) -> None:
        """Assign a parameter by name."""
        setattr(self, self._parameter(name).name, value)

    def connectGui(self, gui: Any) -> int:
        """Bind every widget with a property ``SlicerParameterName``, both ways.

        Parameters
        ----------
        gui : QWidget or object
            A widget, whose children are bound, or what `slicer.util.childWidgetVariables` returns.

        Returns
        -------
        int
            To be given to `disconnectGui`.
        """
        is_widget = isinstance(gui, QtWidgets.QWidget)
        widgets = gui.findChildren(QtWidgets.QWidget) if is_widget else vars(gui).values()
        named = ((widget.property(SlicerParameterNamePropertyName), widget) for widget in widgets)
        return self.connectParametersToGui({name: widget for name, widget in named if name})

    def connectParametersToGui(self, mapping: dict[str, Any]) -> int:
        """Bind widgets to parameters by name, both ways; the widgets take the parameters' values first."""
        for name in mapping:
            self._parameter(name)
        connectors = {name: createGuiConnector(widget, self.dataType(name)) for name, widget in mapping.items()}
        tag = self._next_tag
        self._next_tag += 1
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.onChanged(self._writer(name, connector))
        observer = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._update_gui())
        self._guis[tag] = (connectors, observer)
        return tag

    def _writer(self, name: str, connector: Connector) -> Any:
        def write() -> None:
            if not self._updating_gui:
                self.setValue(name, connector.read())

        return write

    def disconnectGui(self, tag: int | None) -> None:
        """Undo `connectGui`; an unknown tag does nothing."""
        if tag not in self._guis:
            return
        connectors, observer = self._guis.pop(tag)
        for connector in connectors.values():
            connector.onChanged(None)
        self.RemoveObserver(observer)

    def _update_gui(self) -> None:
        if self._updating_gui:
            return
        self._updating_gui = True
        try:
            with slicer.util.NodeModify(self):
                for connectors, _observer in list(self._guis.values()):
                    for name, connector in connectors.items():
                        connector.write(self.getValue(name))
        finally:
            self._updating_gui = False

    def StartModify(self) -> int:
        """Hold back modified events."""
        return self.parameterNode.StartModify()

    def EndModify(self, was_modifying: int) -> int:
        """Let modified events go again."""
        return self.parameterNode.EndModify(was_modifying)

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        """Observe the parameter node."""
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        """Stop observing the parameter node."""
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        """Say that the parameter node changed."""
        self.parameterNode.Modified()


def parameterNodeWrapper(decorated: type | None = None) -> Any:
    """Make a class with annotated members a typed view on a ``vtkMRMLScriptedModuleNode``.

    Raises
    ------
    ValueError
        If a member has a name that every wrapper needs for itself.
    NotImitated
        If a member is of a type that the stand-in does not store.
    """
    if decorated is None:
        return parameterNodeWrapper
    parameters = {}
    for name, annotated in typing.get_type_hints(decorated, include_extras=True).items():
        if name in vars(_Wrapper):
            raise ValueError(f"Every parameter node wrapper has a {name} of its own")
        checked, default = storage_for(annotated)
        default = Default(getattr(decorated, name)) if hasattr(decorated, name) else default
        parameters[name] = Parameter(name, annotated, checked, default)
        setattr(decorated, name, parameters[name])
    for name, member in vars(_Wrapper).items():
        if not name.startswith("__") or name == "__init__":
            setattr(decorated, name, member)
    decorated.allParameters = parameters
    return decorated


def isParameterNodeWrapper(class_or_object: Any) -> bool:
    """Whether it was decorated with `parameterNodeWrapper`."""
    return hasattr(class_or_object, "allParameters") and hasattr(class_or_object, "connectGui")


def findChildWidgetForParameter(widget: Any, parameter: str) -> Any:
    """The child that is bound to a parameter, or None."""
    children = widget.findChildren(QtWidgets.QWidget)
    return next((child for child in children if child.property(SlicerParameterNamePropertyName) == parameter), None)
