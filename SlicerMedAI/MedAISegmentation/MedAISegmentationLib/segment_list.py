"""The list of a model's structures, each with its colour and a check box."""

from __future__ import annotations

from collections.abc import Callable

import qt

MOST_ROWS = 6
"""Of more structures the list shows these many at a time."""


class SegmentList:
    """A checkable list.

    Parameters
    ----------
    listWidget : qt.QListWidget
        Filled by this object.
    onChanged : callable
        ``onChanged(excludedNames)``: a person checked or unchecked a structure.
    """

    def __init__(self, listWidget, onChanged: Callable[[list[str]], None]) -> None:
        self._list = listWidget
        self._onChanged = onChanged
        self._segments: tuple = ()
        listWidget.connect("itemChanged(QListWidgetItem*)", self._onItemChanged)

    def show(self, segments, excluded) -> None:
        """List `medai.Segment` objects; those whose name is in `excluded` are not checked."""
        if tuple(segments) == self._segments and set(self.excluded()) == set(excluded):
            return  # also when a click on an item led here: it must not be deleted under its own signal
        wasBlocked = self._list.blockSignals(True)
        self._list.clear()
        self._segments = tuple(segments)
        for segment in segments:
            item = qt.QListWidgetItem(segment.name)
            swatch = qt.QPixmap(12, 12)
            swatch.fill(qt.QColor(*(round(255 * channel) for channel in segment.color)))
            item.setIcon(qt.QIcon(swatch))
            item.setCheckState(qt.Qt.Unchecked if segment.name in excluded else qt.Qt.Checked)
            self._list.addItem(item)
        shown = min(max(len(self._segments), 2), MOST_ROWS)
        rowHeight = max(self._list.sizeHintForRow(0), 16)
        self._list.setFixedHeight(shown * rowHeight + 2 * self._list.frameWidth + 4)
        self._list.blockSignals(wasBlocked)

    def excluded(self) -> list[str]:
        """Names that are not checked."""
        items = [self._list.item(row) for row in range(len(self._segments))]
        return [item.text() for item in items if item.checkState() == qt.Qt.Unchecked]

    def _onItemChanged(self, _item) -> None:
        self._onChanged(self.excluded())
