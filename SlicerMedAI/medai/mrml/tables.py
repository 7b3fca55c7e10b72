"""Tables and plots to nodes."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
from vtkmodules.vtkCommonCore import vtkDoubleArray, vtkLongLongArray, vtkStringArray

from medai.errors import InputError
from medai.mrml.transaction import Transaction
from medai.result import Plot, Table


def fill_table_node(node: Any, table: Table) -> None:
    """Write the columns of `table` into a table node: whole numbers, numbers or text, by what the column holds.

    Raises
    ------
    InputError
        When the columns are of different length.
    """
    lengths = {title: len(values) for title, values in table.columns.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(
            f"The table '{table.name}' is incomplete.",
            "Its columns have different lengths: " + ", ".join(f"{k} {v}" for k, v in lengths.items()) + ".",
            "This is an error of the model or of the task; please report it.",
        )
    node.RemoveAllColumns()
    for title, values in table.columns.items():
        node.AddColumn(_column(title, values))
    node.SetUseColumnTitleAsColumnHeader(True)


def rows_from_node(node: Any) -> list[dict[str, str]]:
    """Rows of a table node as text by the titles of their columns.

    Raises
    ------
    InputError
        When the table is empty.
    """
    table = node.GetTable()
    titles = [table.GetColumnName(n) or f"column {n + 1}" for n in range(table.GetNumberOfColumns())]
    count = table.GetNumberOfRows()
    if not titles or not count:
        raise InputError(f"The table '{node.GetName()}' is empty.", "It has no rows.", "Choose another table.")
    return [{title: _cell(table.GetValue(row, n)) for n, title in enumerate(titles)} for row in range(count)]


def _cell(value: Any) -> str:
    if value.IsDouble() or value.IsFloat():
        number = value.ToDouble()
        return "" if np.isnan(number) else repr(number)
    return str(value.ToString()).strip()


def _column(title: str, values: tuple[object, ...]) -> Any:
    """Column as narrow as its values allow; numpy's numbers count as numbers."""
    numbers = bool(values) and not any(isinstance(value, (bool, np.bool_)) for value in values)
    column: Any = vtkStringArray()
    convert: Callable[[Any], object] = str
    if numbers and all(isinstance(value, Integral) for value in values):
        column, convert = vtkLongLongArray(), int
    elif numbers and all(isinstance(value, Real) for value in values):
        column, convert = vtkDoubleArray(), float
    column.SetName(title)
    column.SetNumberOfValues(len(values))
    for row, value in enumerate(values):
        column.SetValue(row, convert("" if value is None else value))
    return column


# Wong, "Points of view: Color blindness", Nature Methods 8 (2011) 441: told apart by everybody.
LINE_COLORS = (
    (0.00, 0.45, 0.70),
    (0.84, 0.37, 0.00),
    (0.00, 0.62, 0.45),
    (0.80, 0.47, 0.65),
    (0.90, 0.62, 0.00),
    (0.34, 0.71, 0.91),
)


def add_plot(transaction: Transaction, plot: Plot, name: str) -> tuple[Any, Any, list[Any]]:
    """Table, chart and one series per line.

    Returns
    -------
    tuple
        Chart node, table node, series nodes.

    Raises
    ------
    InputError
        When the plot names a column that its table does not have.
    """
    missing = [title for title in (plot.x, *plot.y) if title not in plot.table.columns]
    if missing:
        raise InputError(
            f"The plot '{plot.name}' cannot be drawn.",
            f"Its table has no column {', '.join(missing)}.",
            "This is an error of the model or of the task; please report it.",
        )
    table = transaction.add("vtkMRMLTableNode", f"{name} data")
    fill_table_node(table, plot.table)
    chart = transaction.add("vtkMRMLPlotChartNode", name)
    chart.SetTitle(plot.name)
    chart.SetXAxisTitle(plot.x_label or plot.x)
    chart.SetYAxisTitle(plot.y_label or ", ".join(plot.y))
    lines = [add_line(transaction, chart, table, plot, title) for title in plot.y]
    return chart, table, lines


def add_line(transaction: Transaction, chart: Any, table: Any, plot: Plot, y: str) -> Any:
    """One line of a plot in its chart: column `y` of the table node over the column ``plot.x``."""
    line = transaction.add("vtkMRMLPlotSeriesNode", y)
    line.SetAndObserveTableNodeID(table.GetID())
    line.SetXColumnName(plot.x)
    line.SetYColumnName(y)
    line.SetPlotType(line.PlotTypeScatter)  # scatter uses the x column; plain lines count rows instead
    line.SetLineStyle(line.LineStyleSolid)
    line.SetMarkerStyle(line.MarkerStyleCircle)
    place = plot.y.index(y)
    if y in plot.points:
        line.SetLineStyle(line.LineStyleNone)
    elif plot.points or y in plot.band:
        line.SetMarkerStyle(line.MarkerStyleNone)
    if y in plot.band:  # both edges look alike, and like the line that they are the band of
        line.SetLineStyle(line.LineStyleDash)
        place = plot.y.index(next(other for other in plot.y if other not in (*plot.points, *plot.band)))
    line.SetColor(*LINE_COLORS[place % len(LINE_COLORS)])
    chart.AddAndObservePlotSeriesNodeID(line.GetID())
    return line
