"""Selectors for the other images of a model that looks at several at once, below the one for the first."""

from __future__ import annotations

from collections.abc import Callable

import qt
import slicer
from slicer.i18n import tr as _

IMAGE_CLASSES = ["vtkMRMLScalarVolumeNode", "vtkMRMLVectorVolumeNode"]


class FurtherInputs:
    """Rows of a form layout, as many as a model needs.

    Parameters
    ----------
    layout : qt.QFormLayout
        The first image is in its first row.
    onChanged : callable
        ``onChanged(nodes)``: a person chose; None where nothing is chosen.
    """

    def __init__(self, layout, onChanged: Callable[[list], None]) -> None:
        self._layout = layout
        self._onChanged = onChanged
        self._rows: list[tuple] = []  # label and selector; those that are not needed now are hidden
        self._count = 0

    def show(self, names: list[str], nodes: list) -> None:
        """One selector for each name, with its node or None."""
        while len(self._rows) < len(names):
            self._rows.append(self._newRow(len(self._rows)))
        self._count = len(names)
        for number, (label, selector) in enumerate(self._rows):
            needed = number < len(names)
            label.setVisible(needed)
            selector.setVisible(needed)
            if needed:
                label.text = f"{names[number]}:"
            node = nodes[number] if needed and number < len(nodes) else None
            if selector.currentNode() is not node:
                wasBlocked = selector.blockSignals(True)
                selector.setCurrentNode(node)
                selector.blockSignals(wasBlocked)

    def nodes(self) -> list:
        """What is chosen, in the model's order."""
        return [selector.currentNode() for _label, selector in self._rows[: self._count]]

    def selectors(self) -> list:
        """The selectors that a person sees."""
        return [selector for _label, selector in self._rows[: self._count]]

    def _newRow(self, number: int) -> tuple:
        selector = slicer.qMRMLNodeComboBox()
        selector.nodeTypes = IMAGE_CLASSES
        selector.hideChildNodeTypes = ["vtkMRMLLabelMapVolumeNode"]
        selector.addEnabled = False
        selector.removeEnabled = False
        selector.noneEnabled = True
        selector.noneDisplay = _("Select an image")
        selector.toolTip = _("The model looks at several images of the same patient at once.")
        selector.setMRMLScene(slicer.mrmlScene)
        selector.setCurrentNode(None)
        selector.connect("currentNodeChanged(vtkMRMLNode*)", self._onCurrentNodeChanged)
        label = qt.QLabel()
        label.textFormat = qt.Qt.PlainText  # the names come from the model's files
        self._layout.insertRow(1 + number, label, selector)
        return label, selector

    def _onCurrentNodeChanged(self, _node) -> None:
        self._onChanged(self.nodes())
