"""CTK's foldable boxes."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets


class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A heading that folds what is laid out below it. A click folds and unfolds; folded contents are hidden."""

    _imitates_cpp_class = True
    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._collapsed = False
        self._folded: list[QtWidgets.QWidget] = []
        self._heading = self.fontMetrics().height() + 10
        self.setContentsMargins(0, self._heading, 0, 0)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Preferred, QtWidgets.QSizePolicy.Policy.Preferred)
        self.clicked.connect(lambda: self.setCollapsed(not self._collapsed))

    def _is_collapsed(self) -> bool:
        return self._collapsed

    def setCollapsed(self, collapsed: bool) -> None:
        """Fold or unfold."""
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        if collapsed:
            self._fold()
            self.setMaximumHeight(self._heading)
        else:
            self.setMaximumHeight(16777215)
            for child in self._folded:
                QtWidgets.QWidget.setVisible(child, True)
            self._folded = []
        self.updateGeometry()
        self.update()
        self.contentsCollapsed.emit(collapsed)

    collapsed = QtCore.Property(bool, _is_collapsed, setCollapsed)

    def _fold(self) -> None:
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget) and not QtWidgets.QWidget.isHidden(child):
                QtWidgets.QWidget.setVisible(child, False)
                self._folded.append(child)

    def showEvent(self, event: QtGui.QShowEvent) -> None:
        """Children that a .ui file added after ``collapsed`` was set are folded at the latest now."""
        if self._collapsed:
            self._fold()
        super().showEvent(event)

    def hitButton(self, position: QtCore.QPoint) -> bool:
        """Only the heading can be clicked."""
        return position.y() < self._heading

    def sizeHint(self) -> QtCore.QSize:
        """Heading, and contents unless folded."""
        contents = self.layout().sizeHint() if self.layout() else QtCore.QSize(80, 0)
        return QtCore.QSize(contents.width(), self._heading if self._collapsed else contents.height() + self._heading)

    def minimumSizeHint(self) -> QtCore.QSize:
        """As `sizeHint`, with the contents' smallest height."""
        contents = self.layout().minimumSize() if self.layout() else QtCore.QSize(80, 0)
        return QtCore.QSize(contents.width(), self._heading if self._collapsed else contents.height() + self._heading)

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        """Draw the heading: a bar with an arrow and the text."""
        painter = QtWidgets.QStylePainter(self)
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        option.rect = QtCore.QRect(0, 0, QtCore.QObject.property(self, "width"), self._heading)
        style = QtWidgets.QStyle
        painter.drawPrimitive(style.PrimitiveElement.PE_PanelButtonCommand, option)
        arrow = (
            style.PrimitiveElement.PE_IndicatorArrowRight
            if self._collapsed
            else style.PrimitiveElement.PE_IndicatorArrowDown
        )
        box = QtCore.QRect(option.rect)
        option.rect = QtCore.QRect(4, 0, self._heading - 8, self._heading)
        painter.drawPrimitive(arrow, option)
        painter.drawText(
            box.adjusted(self._heading + 2, 0, -4, 0),
            int(QtCore.Qt.AlignmentFlag.AlignVCenter | QtCore.Qt.TextFlag.TextShowMnemonic),
            QtCore.QObject.property(self, "text"),
        )


class ctkCollapsibleGroupBox(QtWidgets.QGroupBox):
    """A group box that folds: its check box, as in CTK, is ticked when it is open."""

    _imitates_cpp_class = True

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self._collapsed = False
        self.setCheckable(True)
        self.toggled.connect(lambda opened: self.setCollapsed(not opened))

    def _is_collapsed(self) -> bool:
        return self._collapsed

    def setCollapsed(self, collapsed: bool) -> None:
        """Fold or unfold."""
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        self.setChecked(not collapsed)
        self.setMaximumHeight(self.fontMetrics().height() + 8 if collapsed else 16777215)

    collapsed = QtCore.Property(bool, _is_collapsed, setCollapsed)
