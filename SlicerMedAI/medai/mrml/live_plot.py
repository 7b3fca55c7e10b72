"""A chart that is drawn anew whenever there is more to show, such as that of a training under way."""

from __future__ import annotations

from typing import Any

from medai.mrml.tables import add_line, add_plot, fill_table_node
from medai.mrml.transaction import Transaction
from medai.result import Plot


class LivePlot:
    """One chart of a scene, with its table.

    Parameters
    ----------
    scene : vtkMRMLScene
    name : str
        Of the chart node.

    Attributes
    ----------
    chart, table : vtkMRMLPlotChartNode, vtkMRMLTableNode, or None
        None before there was anything to draw.
    """

    def __init__(self, scene: Any, name: str) -> None:
        self.scene = scene
        self.name = name
        self.chart: Any = None
        self.table: Any = None
        self._nodes: list[Any] = []
        self._lines: set[str] = set()

    def show(self, plot: Plot) -> None:
        """Draw a plot in place of what was drawn before; its lines may have become longer, and more.

        What a person has removed from the scene stays removed.

        Raises
        ------
        InputError
            When the plot's columns do not fit each other.
        """
        if self.chart is None:
            with Transaction(self.scene) as transaction:
                self.chart, self.table, lines = add_plot(transaction, plot, self.name)
            self._nodes = [self.chart, self.table, *lines]
            self._lines = set(plot.y)
            return
        if not all(self.scene.IsNodePresent(node) for node in (self.chart, self.table)):
            return
        fill_table_node(self.table, plot.table)
        for title in (title for title in plot.y if title not in self._lines):
            with Transaction(self.scene) as transaction:
                line = add_line(transaction, self.chart, self.table, plot, title)
            self._nodes.append(line)
            self._lines.add(title)

    def remove(self) -> None:
        """Take it out of the scene, such as when the whole result is there."""
        for node in self._nodes:
            if self.scene.IsNodePresent(node):
                self.scene.RemoveNode(node)
