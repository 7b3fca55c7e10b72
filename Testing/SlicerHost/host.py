"""The stand-in as a whole: started and stopped by tests, and driven by them as a person drives Slicer."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

# Before Qt is loaded: without a display it draws into memory.
if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import slicer
import slicer.util
from PySide6 import QtCore, QtWidgets

from . import i18n, packaging, parameter_nodes, scripted_loadable_module
from .application import Application, MainWindow
from .ctk_module import create_ctk_module
from .modules import Module, Modules, ModuleWidget
from .node_combo_box import qMRMLNodeComboBox
from .not_imitated import NotImitated
from .person import Person
from .qt_module import create_qt_module
from .sample_data import create_sample_data_module
from .scene import SceneAndLogics
from .scene_widgets import qMRMLWidget, qSlicerWidget
from .ui_loader import CUSTOM_WIDGETS

SLICER_WIDGETS = (qMRMLNodeComboBox, qMRMLWidget, qSlicerWidget)
SLICER_MODULES = {
    "ScriptedLoadableModule": scripted_loadable_module,
    "i18n": i18n,
    "packaging": packaging,
    "parameterNodeWrapper": parameter_nodes,
}


class Host:
    """A running stand-in. Only one at a time; a context manager.

    Parameters
    ----------
    testing : bool
        As Slicer's ``--testing``: no dialog is shown.

    Attributes
    ----------
    person : Person
        Who sees and answers the modal dialogs.
    scene : vtkMRMLScene
    errors : list of BaseException
        Exceptions that left a slot or an observer. Slicer prints them and goes on; `process_events` and `stop` raise
        the first one, so that none is overlooked.
    """

    def __init__(self, *, testing: bool = False) -> None:
        if "app" in vars(slicer):
            raise RuntimeError("Another stand-in is running, or a real Slicer")
        self.person = Person()
        self.errors: list[BaseException] = []
        self._modules: list[Module] = []
        self._current: ModuleWidget | None = None
        self._restore: list[Callable[[], None]] = []
        # tempfile's folder may be deep; Slicer's own scenes stay short.
        self._folder = tempfile.TemporaryDirectory(prefix="slicer-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        self._qt_application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["Slicer"])
        self._qt_application.setApplicationName("Slicer")
        self._qt_application.setOrganizationName("SlicerHost")
        self._qt_application.setQuitOnLastWindowClosed(False)
        self._scene = SceneAndLogics(folder)
        self.scene = self._scene.scene
        try:
            self._install(folder, testing)
        except BaseException:
            self._uninstall()
            raise
        self.window = MainWindow(self.select_module)
        self.window.show()

    # --- start and stop ----------------------------------------------------------------------------------------------

    def _install(self, folder: Path, testing: bool) -> None:
        for name, module in (
            ("qt", create_qt_module(self.person)),
            ("ctk", create_ctk_module()),
            ("SampleData", create_sample_data_module()),
        ):
            self._put(sys.modules, name, module)
        for widget in SLICER_WIDGETS:
            CUSTOM_WIDGETS[widget.__name__] = widget
            self._put_attribute(widget.__name__, widget)
        for name, module in SLICER_MODULES.items():
            self._put(sys.modules, f"slicer.{name}", module)
            self._put_attribute(name, module)
        self._put_attribute("qSlicerScriptedLoadableModuleWidget", ModuleWidget)
        self._put_attribute("mrmlScene", self.scene)
        self._put_attribute("modules", Modules(self._scene.logics))
        self._put_attribute("app", Application(self._qt_application, self._scene, folder, testing))
        self._put_attribute("selfTests", {})
        self._put_attribute("__getattr__", _missing_in_slicer)
        hook, sys.excepthook = sys.excepthook, self._on_exception
        self._restore.append(lambda: setattr(sys, "excepthook", hook))

    def _uninstall(self) -> None:
        while self._restore:
            self._restore.pop()()

    def _put(self, where: dict[str, Any], name: str, module: ModuleType) -> None:
        before = where.get(name)
        where[name] = module
        self._restore.append(lambda: where.pop(name) if before is None else where.__setitem__(name, before))

    def _put_attribute(self, name: str, value: Any) -> None:
        if name in vars(slicer):
            before = vars(slicer)[name]
            self._restore.append(lambda: setattr(slicer, name, before))
        else:
            self._restore.append(lambda: delattr(slicer, name))
        setattr(slicer, name, value)

    def _on_exception(self, kind: type, error: BaseException, trace: TracebackType | None) -> None:
        self.errors.append(error)

    def _raise_errors(self) -> None:
        if self.errors:
            error = self.errors[0]
            self.errors.clear()
            raise error

    def stop(self) -> None:
        """End the application as Slicer ends: modules clean up, the scene goes, ``qt`` and the rest disappear.

        Raises
        ------
        Exception
            What a slot or observer raised and no `process_events` has raised since.
        """
        slicer.app.announceQuit()
        if self._current is not None and self._current.isEntered:
            self._current.exit()
        self.window.showPanel(None)
        for module in reversed(self._modules):
            module.unload()
        self._modules.clear()
        self.window.close()
        self.window.deleteLater()
        slicer.app.processEvents()
        self._scene.close()
        self._uninstall()
        self._folder.cleanup()
        self._raise_errors()

    def __enter__(self) -> Host:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self.stop()
            return
        try:
            self.stop()
        except Exception as another:
            raise error from another  # the test's own failure comes first

    # --- as a person does --------------------------------------------------------------------------------------------

    def load_module(self, path: str | Path, *, open_it: bool = True) -> ModuleWidget | None:
        """Load a module's file as Slicer's loader does, and open the module.

        Parameters
        ----------
        path : str or Path
            The module's ``.py`` file, run unchanged.
        open_it : bool
            False leaves the panel unmade, as long as nobody opens the module.

        Returns
        -------
        ModuleWidget or None
            The widget representation; its ``self()`` is the module's Python widget.
        """
        module = Module(Path(path).resolve())
        module.load()
        self._modules.append(module)
        slicer.app.completeStartup()
        self._raise_errors()
        return self.select_module(module.name) if open_it else None

    def select_module(self, name: str) -> ModuleWidget:
        """Leave the current module and open this one."""
        panel = getattr(slicer.modules, name.lower()).widgetRepresentation()
        if panel is not self._current:
            self.leave_module()
            self._current = panel
            self.window.moduleSelector().selectedModule = name
            self.window.showPanel(panel)
            panel.enter()
        self._raise_errors()
        return panel

    def leave_module(self) -> None:
        """Close the current module's panel, as when another module is opened."""
        if self._current is not None:
            self._current.exit()
            self.window.showPanel(None)
            self._current = None

    def process_events(self, seconds: float = 0.0, until: Callable[[], bool] | None = None) -> None:
        """Let the application live.

        Parameters
        ----------
        seconds : float
            How long; 0 for one round.
        until : callable, optional
            Ends it as soon as this is true.

        Raises
        ------
        TimeoutError
            If `until` was not true within the time.
        Exception
            What a slot or observer raised.
        """
        end = time.monotonic() + seconds
        while True:
            slicer.app.processEvents()
            self._raise_errors()
            if until is not None and until():
                return
            if time.monotonic() >= end:
                break
            time.sleep(0.005)
        if until is not None:
            raise TimeoutError(f"Not within {seconds} s")

    def grab(self, widget: QtWidgets.QWidget, path: str | Path, width: int = 480) -> Path:
        """Take a picture of a widget as high as its contents need, in PNG.

        Parameters
        ----------
        widget : QWidget
            A panel, say.
        path : str or Path
            The file.
        width : int
            Of the picture in pixels.
        """
        slicer.app.processEvents()
        parent = widget.parentWidget()
        size = QtCore.QSize(width, _height_for(widget, width))
        before = QtCore.QObject.property(widget, "size")
        if parent is not None:
            widget.setMinimumSize(size)
        widget.resize(size)
        slicer.app.processEvents()
        picture = QtWidgets.QWidget.grab(widget, QtCore.QRect(QtCore.QPoint(0, 0), size))
        widget.setMinimumSize(0, 0)
        widget.resize(before)
        if not picture.save(str(path), "PNG"):
            raise OSError(f"Qt could not write {path}")
        return Path(path)

    def close_scene(self) -> None:
        """File > Close scene."""
        self.scene.Clear(0)
        self.process_events()

    def save_and_reload_scene(self, path: str | Path) -> None:
        """Save the scene (``.mrb`` or ``.mrml``), close it, and open the file."""
        path = Path(path)
        if path.suffix == ".mrb":
            saved = self.scene.WriteToMRB(str(path))
        else:
            self.scene.SetURL(str(path))
            self.scene.SetRootDirectory(str(path.parent))
            saved = self.scene.Commit(str(path))
        if not saved:
            raise OSError(f"The scene could not be saved as {path}")
        self.close_scene()
        slicer.util.loadScene(str(path), {})
        self.process_events()


def _height_for(widget: QtWidgets.QWidget, width: int) -> int:
    layout = widget.layout()
    if layout is not None and layout.hasHeightForWidth():
        return layout.totalHeightForWidth(width)
    return max(QtCore.QObject.property(widget, "sizeHint").height(), 40)


def _missing_in_slicer(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise NotImitated(f"slicer.{name}")


def start(*, testing: bool = False) -> Host:
    """Start the stand-in; see `Host`."""
    return Host(testing=testing)
