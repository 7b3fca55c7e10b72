"""``slicer.modules``: what is loaded, and how a module's file becomes a module as in Slicer's loader."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import slicer
from PySide6 import QtWidgets

from .application import Strict
from .not_imitated import NotImitated
from .scene_widgets import qMRMLWidget


class ModuleWidget(qMRMLWidget):
    """A module's widget representation: the panel in which the Python widget lives."""

    _imitates_cpp_class = True

    def __init__(self, module: Module) -> None:
        super().__init__()
        QtWidgets.QVBoxLayout(self)
        self._module = module
        self._python_widget: Any = None
        self._entered = False
        self.setMRMLScene(slicer.mrmlScene)

    def build(self, widget_class: type) -> None:
        """Create the Python widget and let it fill the panel, down to the bottom of the window."""
        self._python_widget = widget_class(self)
        self._python_widget.setup()

    def self(self) -> Any:
        """The Python widget."""
        return self._python_widget

    def module(self) -> Module:
        """The module it belongs to."""
        return self._module

    @property
    def isEntered(self) -> bool:
        """Whether the person has this module open."""
        return self._entered

    def enter(self) -> None:
        """The person opens the module."""
        self._entered = True
        if hasattr(self._python_widget, "enter"):
            self._python_widget.enter()

    def exit(self) -> None:
        """The person opens another module."""
        self._entered = False
        if hasattr(self._python_widget, "exit"):
            self._python_widget.exit()


class Module(Strict):
    """A loaded module: ``slicer.modules.<name>``, and the `parent` of its ``ScriptedLoadableModule``."""

    _settable: ClassVar[set[str]] = {
        "title",
        "categories",
        "dependencies",
        "contributors",
        "helpText",
        "acknowledgementText",
        "icon",
        "hidden",
        "index",
        "associatedNodeTypes",
        "widgetRepresentationCreationEnabled",
    }

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.name = path.stem
        self.title = path.stem
        self.categories: list[str] = []
        self.dependencies: list[str] = []
        self.contributors: list[str] = []
        self.helpText = self.acknowledgementText = ""
        self.hidden = False
        self._file: Any = None
        self._representation: ModuleWidget | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._settable and name not in {"path", "name"} and not name.startswith("_"):
            raise NotImitated(f"qSlicerScriptedLoadableModule.{name}")
        super().__setattr__(name, value)

    def load(self) -> None:
        """Run the module's file and its module class.

        Raises
        ------
        AttributeError
            If the file lacks the class that is named like it.
        """
        folder = str(Path(self.path).parent)
        if folder not in sys.path:
            sys.path.insert(0, folder)
        self._file = _run_file(Path(self.path))
        instance = getattr(self._file, self.name)(self)
        setattr(slicer.modules, self.name.lower(), self)
        setattr(slicer.modules, f"{self.name}Instance", instance)
        if hasattr(instance, "setup"):
            instance.setup()

    def widgetRepresentation(self) -> ModuleWidget:
        """The panel; made on the first call."""
        if self._representation is None:
            self._representation = self.createNewWidgetRepresentation()
            setattr(slicer.modules, f"{self.name}Widget", self._representation.self())
        return self._representation

    def createNewWidgetRepresentation(self) -> ModuleWidget:
        """Another panel of the same module."""
        panel = ModuleWidget(self)
        panel.build(getattr(self._file, f"{self.name}Widget"))
        return panel

    def unload(self) -> None:
        """Let the widget clean up, and forget the module."""
        slicer.app.moduleManager().announceUnload(self.name)
        if self._representation is not None:
            self._representation.deleteLater()
            self._representation = None
        sys.modules.pop(self.name, None)
        folder = str(Path(self.path).parent)
        if folder in sys.path:
            sys.path.remove(folder)


def _run_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    file = importlib.util.module_from_spec(spec)
    # Known by its name before it runs, as for an import: enumerations and dataclasses in it look themselves up.
    sys.modules[path.stem] = file
    try:
        spec.loader.exec_module(file)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return file


class CoreModule(Strict):
    """One of Slicer's own modules: only its logic."""

    def __init__(self, name: str, logic: Any) -> None:
        self.name = name
        self._logic = logic

    def logic(self) -> Any:
        """The module's logic."""
        return self._logic


class Modules(Strict):
    """``slicer.modules``."""

    def __init__(self, logics: dict[str, Any]) -> None:
        for name, logic in logics.items():
            setattr(self, name, CoreModule(name, logic))
