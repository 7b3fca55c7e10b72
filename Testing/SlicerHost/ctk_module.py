"""Slicer's module ``ctk``: the widgets of the Common Toolkit that the modules use."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from PySide6 import QtCore, QtWidgets

from .collapsible import ctkCollapsibleButton, ctkCollapsibleGroupBox
from .not_imitated import NotImitated
from .ui_loader import CUSTOM_WIDGETS


class ctkComboBox(QtWidgets.QComboBox):
    """A combo box with a text for "nothing chosen"."""

    _imitates_cpp_class = True

    def _get_default_text(self) -> str:
        return QtWidgets.QComboBox.property(self, "placeholderText")

    def _set_default_text(self, text: str) -> None:
        QtWidgets.QComboBox.setPlaceholderText(self, text)

    defaultText = QtCore.Property(str, _get_default_text, _set_default_text)


class ctkCheckBox(QtWidgets.QCheckBox):
    """A check box."""

    _imitates_cpp_class = True


class ctkDoubleSpinBox(QtWidgets.QDoubleSpinBox):
    """A spin box for real numbers."""

    _imitates_cpp_class = True


class ctkSearchBox(QtWidgets.QLineEdit):
    """A line to type a search into."""

    _imitates_cpp_class = True

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.setPlaceholderText("Search...")
        self.setClearButtonEnabled(True)


class ctkMessageBox(QtWidgets.QMessageBox):
    """A message box. Its "do not show again" box is never ticked here, so that every message is seen."""

    _imitates_cpp_class = True

    def _get_key(self) -> str:
        return self._key

    def _set_key(self, key: str) -> None:
        self._key = key

    _key = ""
    dontShowAgainSettingsKey = QtCore.Property(str, _get_key, _set_key)


class ctkPathLineEdit(QtWidgets.QLineEdit):
    """A line for a path."""

    _imitates_cpp_class = True
    currentPathChanged = QtCore.Signal(str)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.textChanged.connect(self.currentPathChanged)

    def _get_path(self) -> str:
        return QtCore.QObject.property(self, "text")

    def setCurrentPath(self, path: str) -> None:
        """Show another path."""
        QtWidgets.QLineEdit.setText(self, path)

    currentPath = QtCore.Property(str, _get_path, setCurrentPath)


class ctkCheckableComboBox(QtWidgets.QComboBox):
    """A combo box whose items carry check boxes."""

    _imitates_cpp_class = True
    checkedIndexesChanged = QtCore.Signal()

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.model().rowsInserted.connect(self._make_checkable)

    def _make_checkable(self, _parent: QtCore.QModelIndex, first: int, last: int) -> None:
        for row in range(first, last + 1):
            item = self.model().item(row)
            item.setCheckable(True)
            if item.data(QtCore.Qt.ItemDataRole.CheckStateRole) is None:
                item.setCheckState(QtCore.Qt.CheckState.Unchecked)

    def checkedIndexes(self) -> list[QtCore.QModelIndex]:
        """Indexes of the ticked items."""
        rows = (self.model().index(row, 0) for row in range(self.model().rowCount()))
        return [index for index in rows if self.checkState(index) == QtCore.Qt.CheckState.Checked]

    def checkState(self, index: QtCore.QModelIndex) -> QtCore.Qt.CheckState:
        """Whether an item is ticked."""
        return self.model().itemFromIndex(index).checkState()

    def setCheckState(self, index: QtCore.QModelIndex, state: QtCore.Qt.CheckState) -> None:
        """Tick an item or clear it."""
        if self.checkState(index) != state:
            self.model().itemFromIndex(index).setCheckState(state)
            self.checkedIndexesChanged.emit()

    def allChecked(self) -> bool:
        """Whether every item is ticked."""
        return len(self.checkedIndexes()) == self.model().rowCount()

    def noneChecked(self) -> bool:
        """Whether no item is ticked."""
        return not self.checkedIndexes()


class ctkSliderWidget(QtWidgets.QWidget):
    """A slider and a spin box for the same real number."""

    _imitates_cpp_class = True
    valueChanged = QtCore.Signal(float)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._slider = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal, self)
        self._slider.setRange(0, 1000)
        self._spin_box = QtWidgets.QDoubleSpinBox(self)
        layout.addWidget(self._slider)
        layout.addWidget(self._spin_box)
        self._spin_box.valueChanged.connect(self._on_value)
        self._slider.sliderMoved.connect(self._on_slider)

    def _on_value(self, value: float) -> None:
        span = self._read("maximum") - self._read("minimum")
        self._slider.setValue(round(1000 * (value - self._read("minimum")) / span) if span else 0)
        self.valueChanged.emit(value)

    def _on_slider(self, position: int) -> None:
        span = self._read("maximum") - self._read("minimum")
        self._spin_box.setValue(self._read("minimum") + span * position / 1000)

    def _read(self, name: str) -> Any:
        return QtCore.QObject.property(self._spin_box, name)

    def _write(self, name: str, value: Any) -> None:
        QtCore.QObject.setProperty(self._spin_box, name, value)

    value = QtCore.Property(float, lambda self: self._read("value"), lambda self, value: self._write("value", value))
    minimum = QtCore.Property(
        float, lambda self: self._read("minimum"), lambda self, value: self._write("minimum", value)
    )
    maximum = QtCore.Property(
        float, lambda self: self._read("maximum"), lambda self, value: self._write("maximum", value)
    )
    singleStep = QtCore.Property(
        float, lambda self: self._read("singleStep"), lambda self, value: self._write("singleStep", value)
    )
    decimals = QtCore.Property(
        int, lambda self: self._read("decimals"), lambda self, value: self._write("decimals", value)
    )
    suffix = QtCore.Property(str, lambda self: self._read("suffix"), lambda self, value: self._write("suffix", value))


WIDGETS = (
    ctkCheckBox,
    ctkCheckableComboBox,
    ctkCollapsibleButton,
    ctkCollapsibleGroupBox,
    ctkComboBox,
    ctkDoubleSpinBox,
    ctkMessageBox,
    ctkPathLineEdit,
    ctkSearchBox,
    ctkSliderWidget,
)


def create_ctk_module() -> ModuleType:
    """Build the module; a name that it lacks raises `NotImitated`."""
    module = ModuleType("ctk", "The Common Toolkit's widgets as PythonQt offers them to Slicer's modules.")
    for widget in WIDGETS:
        setattr(module, widget.__name__, widget)
        CUSTOM_WIDGETS[widget.__name__] = widget

    def missing(name: str) -> Any:
        raise NotImitated(f"ctk.{name}")

    module.__getattr__ = missing
    return module
