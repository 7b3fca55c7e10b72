"""``slicer.app`` and what hangs on it: the main window, the module manager, a layout without views."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtWidgets

from .files import CoreIOManager
from .not_imitated import NotImitated
from .pythonqt import connect, disconnect
from .scene import SceneAndLogics

VERSION = (5, 12, 0)
"""The version of Slicer whose behaviour is imitated."""


class Emitter(QtCore.QObject):
    """Signals of the application and of the module manager."""

    _imitates_cpp_class = True
    startupCompleted = QtCore.Signal()
    lastWindowClosed = QtCore.Signal()
    aboutToQuit = QtCore.Signal()
    moduleAboutToBeUnloaded = QtCore.Signal(str)


class Strict:
    """An object that has what it has: any other attribute raises `NotImitated`."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotImitated(f"{type(self).__name__}.{name}")


class Application(Strict):
    """``slicer.app``.

    Parameters
    ----------
    qt_application : QApplication
    scene : SceneAndLogics
    folder : Path
        Temporary files, cache and settings live in it.
    testing : bool
        Whether Slicer was started with ``--testing``: then no dialog is shown.
    """

    applicationName = "Slicer"
    majorVersion, minorVersion, _patch = VERSION
    applicationVersion = ".".join(map(str, VERSION))

    def __init__(
        self, qt_application: QtWidgets.QApplication, scene: SceneAndLogics, folder: Path, testing: bool
    ) -> None:
        self._qt = qt_application
        self._scene = scene
        self._testing = testing
        self._emitter = Emitter()
        self._module_manager = ModuleManager()
        self._layout_manager = LayoutManager()
        self._io_manager = CoreIOManager(scene)
        self.temporaryPath = str(folder / "temporary")
        self.cachePath = str(folder / "cache")
        self.slicerUserSettingsFilePath = str(folder / "Slicer.ini")
        Path(self.temporaryPath).mkdir(parents=True, exist_ok=True)
        QtCore.QSettings.setDefaultFormat(QtCore.QSettings.Format.IniFormat)
        QtCore.QSettings.setPath(QtCore.QSettings.Format.IniFormat, QtCore.QSettings.Scope.UserScope, str(folder))

    def connect(self, signal: str, *receiver: Any) -> bool:
        """Connect a signal of the application."""
        return connect(self._emitter, signal, *receiver)

    def disconnect(self, signal: str, *receiver: Any) -> bool:
        """Undo `connect`."""
        return disconnect(self._emitter, signal, *receiver)

    def completeStartup(self) -> None:
        """Tell who waits for the start to be over, each of them once."""
        self._emitter.startupCompleted.emit()
        if self._emitter.receivers("2startupCompleted()"):
            self._emitter.startupCompleted.disconnect()

    def announceQuit(self) -> None:
        """Tell who wants to know that the application ends."""
        self._emitter.aboutToQuit.emit()

    def processEvents(self) -> None:
        """Let Qt do what is waiting, deletions too."""
        try:
            self._qt.processEvents()
        except Exception:  # some versions of PySide6 pass on what a slot raised; PythonQt never does
            sys.excepthook(*sys.exc_info())
        QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)

    def testingEnabled(self) -> bool:
        """Whether dialogs are skipped."""
        return self._testing

    def mrmlScene(self) -> Any:
        """The scene."""
        return self._scene.scene

    def applicationLogic(self) -> Any:
        """The application's logic (selection node, colour logic, ...)."""
        return self._scene.application_logic

    def moduleManager(self) -> ModuleManager:
        """The module manager."""
        return self._module_manager

    def layoutManager(self) -> LayoutManager:
        """The layout manager; its layout has no views."""
        return self._layout_manager

    def coreIOManager(self) -> CoreIOManager:
        """Reads and writes files."""
        return self._io_manager

    ioManager = coreIOManager

    def userSettings(self) -> QtCore.QSettings:
        """The person's settings, in the stand-in's folder."""
        return QtCore.QSettings(self.slicerUserSettingsFilePath, QtCore.QSettings.Format.IniFormat)

    settings = revisionUserSettings = userSettings

    def topLevelWidgets(self) -> list[QtWidgets.QWidget]:
        """All windows."""
        return QtWidgets.QApplication.topLevelWidgets()

    def setOverrideCursor(self, cursor: Any) -> None:
        """Show another mouse cursor."""
        QtWidgets.QApplication.setOverrideCursor(cursor)

    def restoreOverrideCursor(self) -> None:
        """Undo `setOverrideCursor`."""
        QtWidgets.QApplication.restoreOverrideCursor()

    def pauseRender(self) -> int:
        """Nothing is rendered, so there is nothing to pause."""
        return 0

    resumeRender = pauseRender

    def translate(self, _context: str, text: str) -> str:
        """The stand-in speaks the language of the source."""
        return text

    def palette(self) -> Any:
        """Colours of the theme."""
        return QtWidgets.QApplication.palette()

    def clipboard(self) -> Any:
        """The clipboard."""
        return QtWidgets.QApplication.clipboard()


class ModuleManager(Strict):
    """``slicer.app.moduleManager()``."""

    def __init__(self) -> None:
        self._emitter = Emitter()

    def connect(self, signal: str, *receiver: Any) -> bool:
        """Connect a signal of the module manager."""
        return connect(self._emitter, signal, *receiver)

    def disconnect(self, signal: str, *receiver: Any) -> bool:
        """Undo `connect`."""
        return disconnect(self._emitter, signal, *receiver)

    def module(self, name: str) -> Any:
        """A loaded module by name, or None."""
        return getattr(slicer.modules, name.lower(), None)

    def announceUnload(self, name: str) -> None:
        """Tell the module's widget that it is about to go."""
        self._emitter.moduleAboutToBeUnloaded.emit(name)


class LayoutManager(Strict):
    """``slicer.app.layoutManager()`` of a layout that holds no view: all counts are zero, every list is empty."""

    threeDViewCount = tableViewCount = plotViewCount = 0

    def sliceViewNames(self) -> tuple[str, ...]:
        """No slice view."""
        return ()

    def mrmlSliceLogics(self) -> Any:
        """No slice logic."""
        return vtk.vtkCollection()

    def sliceWidget(self, _name: str) -> None:
        """There is none of that name."""

    def threeDWidget(self, _index: int) -> None:
        """There is none at that index."""

    def resetThreeDViews(self) -> None:
        """Each of no views."""

    def resetSliceViews(self) -> None:
        """Each of no views."""


class MainWindow(QtWidgets.QMainWindow):
    """Slicer's main window: a module panel and a status bar."""

    _imitates_cpp_class = True

    def __init__(self, select: Any) -> None:
        super().__init__()
        self.setObjectName("qSlicerMainWindow")
        self.setWindowTitle("3D Slicer")
        self._selector = ModuleSelector(select)
        area = QtWidgets.QScrollArea(self)
        area.setWidgetResizable(True)
        self.setCentralWidget(area)
        self.statusBar()

    def moduleSelector(self) -> ModuleSelector:
        """The toolbar in which a person chooses a module."""
        return self._selector

    def showPanel(self, panel: QtWidgets.QWidget | None) -> None:
        """Put a module's panel into the window; the former one is kept, hidden."""
        former = self.centralWidget().takeWidget()
        if former is not None:
            former.hide()
            former.setParent(None)
        if panel is not None:
            self.centralWidget().setWidget(panel)
            panel.show()


class ModuleSelector(Strict):
    """``slicer.util.mainWindow().moduleSelector()``."""

    selectedModule = ""

    def __init__(self, select: Any) -> None:
        self._select = select

    def selectModule(self, name: str) -> None:
        """Leave the current module and enter this one."""
        self._select(name)
