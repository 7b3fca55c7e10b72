"""A chart that grows while somebody watches."""

from __future__ import annotations

import pytest

from medai.mrml import LivePlot
from medai.result import Plot, Table


def plot(**columns: tuple[float, ...]) -> Plot:
    return Plot(Table(columns, "training"), "Epoch", tuple(title for title in columns if title != "Epoch"))


@pytest.fixture
def a_live_plot(a_scene):
    live = LivePlot(a_scene, "my_model")
    live.show(plot(Epoch=(1,), Loss=(0.9,)))
    return live


def titles(live: LivePlot) -> list[str]:
    return [live.chart.GetNthPlotSeriesNode(n).GetYColumnName() for n in range(live.chart.GetNumberOfPlotSeriesNodes())]


def test_the_first_values_make_a_chart_with_its_table(a_live_plot):
    assert titles(a_live_plot) == ["Loss"]
    assert a_live_plot.table.GetTable().GetNumberOfRows() == 1


def test_more_values_go_into_the_same_chart_and_a_new_score_becomes_a_new_line(a_scene, a_live_plot):
    nodes = a_scene.GetNumberOfNodes()
    a_live_plot.show(plot(Epoch=(1, 2), Loss=(0.9, 0.5)))
    assert a_scene.GetNumberOfNodes() == nodes
    assert a_live_plot.table.GetTable().GetValueByName(1, "Loss").ToDouble() == 0.5
    a_live_plot.show(plot(Epoch=(1, 2, 3), Loss=(0.9, 0.5, 0.4), Dice=(0.1, 0.2, 0.7)))
    assert titles(a_live_plot) == ["Loss", "Dice"]


def test_a_chart_that_somebody_removed_stays_removed(a_scene, a_live_plot):
    a_scene.RemoveNode(a_live_plot.chart)
    nodes = a_scene.GetNumberOfNodes()
    a_live_plot.show(plot(Epoch=(1, 2), Loss=(0.9, 0.5)))
    assert a_scene.GetNumberOfNodes() == nodes
    assert a_scene.GetFirstNodeByClass("vtkMRMLPlotChartNode") is None


def test_removing_it_leaves_the_scene_as_it_was(a_scene):
    before = a_scene.GetNumberOfNodes()
    live = LivePlot(a_scene, "my_model")
    live.show(plot(Epoch=(1,), Loss=(0.9,)))
    live.show(plot(Epoch=(1,), Loss=(0.9,), Dice=(0.2,)))
    live.remove()
    assert a_scene.GetNumberOfNodes() == before
