"""Slicer's habit with tool tips: plain text becomes rich text as soon as it is set, so that long ones are wrapped.

Who reads a widget's ``toolTip`` gets ``<p>...</p>`` back. Slicer watches all events for that (``ctkToolTipTrapper``).
"""

from __future__ import annotations

from PySide6 import QtGui, QtWidgets

_set_tool_tip = QtWidgets.QWidget.setToolTip


def set_tool_tip(widget: QtWidgets.QWidget, text: str) -> None:
    """``widget.setToolTip(text)`` as in Slicer."""
    _set_tool_tip(widget, as_rich_text(text))


def as_rich_text(text: str) -> str:
    """What Slicer makes of a tool tip; empty and rich ones stay as they are."""
    if not text or QtGui.Qt.mightBeRichText(text):
        return text
    return QtGui.Qt.convertFromPlainText(text, QtGui.Qt.WhiteSpaceMode.WhiteSpaceNormal)


def wrap_tool_tips_below(root: QtWidgets.QWidget) -> None:
    """Treat the tool tips that Qt itself has set from a .ui file."""
    for widget in (root, *root.findChildren(QtWidgets.QWidget)):
        set_tool_tip(widget, QtWidgets.QWidget.toolTip(widget))
