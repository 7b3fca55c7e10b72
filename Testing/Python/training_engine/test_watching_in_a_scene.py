"""A training in a scene: its curves while it runs, its scores at the end."""

from __future__ import annotations

import pytest

import medai

pytest.importorskip("slicer")

from medai.mrml import create_scene

FEW = {"epochs": 3, "width": 4, "patch_size": [16, 16, 16]}


def nodes_of(scene, kind):
    return [scene.GetNthNodeByClass(n, kind) for n in range(scene.GetNumberOfNodesByClass(kind))]


def test_the_curves_are_drawn_while_it_trains_and_its_scores_are_there_at_the_end(bright_balls, tmp_path):
    scene = create_scene()
    rows_seen = set()

    def look(progress):
        for chart in nodes_of(scene, "vtkMRMLPlotChartNode"):
            line = chart.GetNthPlotSeriesNode(0)
            rows_seen.add(line.GetTableNode().GetTable().GetNumberOfRows())

    medai.train(
        bright_balls,
        "segment",
        tmp_path / "finder",
        parameters=FEW,
        scene=scene,
        on_progress=look,
        in_process=True,
        device="cpu",
    )
    assert {1, 2} <= rows_seen  # drawn before the end
    (chart,) = nodes_of(scene, "vtkMRMLPlotChartNode")
    assert chart.GetAttribute("MedAI.Task") == "train"
    assert chart.GetNthPlotSeriesNode(0).GetTableNode().GetTable().GetNumberOfRows() == FEW["epochs"]
    titles = {node.GetTable().GetColumnName(0) for node in nodes_of(scene, "vtkMRMLTableNode")}
    assert {"Epoch", "Metric"} <= titles
