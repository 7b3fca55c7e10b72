"""Slicer's window lives while 3D surfaces are made, and before the first job everything slow has been done."""

from __future__ import annotations

import threading

import pytest

SURFACE = "Closed surface"


@pytest.fixture
def slow_surfaces(monkeypatch):
    """Surfaces that are made only when the test says so."""
    import medai.mrml.surfaces as module

    may_go_on = threading.Event()
    make = module.closed_surface

    def wait_and_make(*arguments):
        may_go_on.wait(60)
        return make(*arguments)

    monkeypatch.setattr(module, "closed_surface", wait_and_make)
    yield may_go_on
    may_go_on.set()


@pytest.fixture
def a_panel_making_surfaces(an_mr_node, a_panel, slow_surfaces):
    a_panel.choose(an_mr_node)
    a_panel.apply_and_wait()
    assert a_panel.host.person.saw == []
    a_panel.wait_until(lambda: "surfaces" in a_panel.ui.stageLabel.text)
    return a_panel


def test_the_result_is_there_before_its_surfaces_and_the_window_lives(a_panel_making_surfaces, slow_surfaces):
    import qt

    panel = a_panel_making_surfaces
    [node] = panel.segmentations()
    assert not node.GetSegmentation().ContainsRepresentation(SURFACE)
    assert "(0 of 2)" in panel.ui.stageLabel.text
    assert panel.ui.applyButton.text == "Apply"
    assert panel.ui.applyButton.enabled
    assert panel.ui.resultCollapsibleButton.visible
    ticks = []
    timer = qt.QTimer()
    timer.setInterval(10)
    timer.connect("timeout()", lambda: ticks.append(1))
    timer.start()
    panel.host.process_events(0.5)
    timer.stop()
    assert len(ticks) > 10
    slow_surfaces.set()
    panel.wait_until(lambda: "surfaces" not in panel.ui.stageLabel.text)
    assert node.GetSegmentation().ContainsRepresentation(SURFACE)
    assert node.GetDisplayNode().GetVisibility3D()
    assert "Done" in panel.ui.stageLabel.text


def test_closing_the_scene_while_surfaces_are_made_is_safe(a_panel_making_surfaces, slow_surfaces):
    panel = a_panel_making_surfaces
    panel.host.close_scene()
    slow_surfaces.set()
    panel.host.process_events(0.5)
    assert panel.segmentations() == []
    assert not panel.ui.resultCollapsibleButton.visible
    assert all(run.ended for run in panel.widget.logic._surfaces)


def test_removing_the_result_while_surfaces_are_made_is_safe(a_panel_making_surfaces, slow_surfaces):
    panel = a_panel_making_surfaces
    panel.host.scene.RemoveNode(panel.segmentations()[0])
    slow_surfaces.set()
    panel.host.process_events(0.5)
    assert panel.segmentations() == []
    assert panel.host.person.saw == []


def test_unchecking_show_3d_stops_the_making(a_panel_making_surfaces, slow_surfaces):
    panel = a_panel_making_surfaces
    panel.ui.show3DCheckBox.setChecked(False)
    slow_surfaces.set()
    panel.host.process_events(0.5)
    [node] = panel.segmentations()
    assert not node.GetSegmentation().ContainsRepresentation(SURFACE)
    assert not node.GetDisplayNode().GetVisibility3D()


def test_the_next_job_may_start_while_surfaces_are_made(a_panel_making_surfaces, slow_surfaces):
    panel = a_panel_making_surfaces
    panel.press_apply()
    slow_surfaces.set()
    panel.wait_for_the_end()
    panel.wait_until(
        lambda: all(node.GetSegmentation().ContainsRepresentation(SURFACE) for node in panel.segmentations())
    )
    assert len(panel.segmentations()) == 2


def test_an_existing_segmentation_gets_its_surfaces_anew(an_mr_node, a_panel):
    a_panel.ui.show3DCheckBox.setChecked(True)
    a_panel.choose(an_mr_node)
    a_panel.apply_and_wait()
    [node] = a_panel.segmentations()
    a_panel.wait_until(lambda: node.GetSegmentation().ContainsRepresentation(SURFACE))
    before = node.GetSegmentation().GetNthSegment(0).GetRepresentation(SURFACE)
    a_panel.ui.outputSelector.setCurrentNode(node)
    a_panel.apply_and_wait()
    a_panel.wait_until(lambda: node.GetSegmentation().ContainsRepresentation(SURFACE))
    assert node.GetSegmentation().GetNthSegment(0).GetRepresentation(SURFACE) is not before


def test_undo_by_one_item_leaves_nothing_of_a_result_behind(an_mr_node, a_panel):
    scene = a_panel.host.scene
    hierarchy = scene.GetSubjectHierarchyNode()

    def ids() -> set[str]:
        return {scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes())}

    def items() -> int:
        return hierarchy.GetNumberOfItemChildren(hierarchy.GetSceneItemID(), True)

    a_panel.choose(an_mr_node)
    before, count = ids(), items()
    a_panel.apply_and_wait()
    [node] = a_panel.segmentations()
    a_panel.wait_until(lambda: node.GetSegmentation().ContainsRepresentation(SURFACE))
    node.AddDefaultStorageNode()
    for table in [scene.GetNthNodeByClass(n, "vtkMRMLTableNode") for n in range(1)]:
        table.AddDefaultStorageNode()
    assert len(ids() - before) >= 5  # segmentation, display, table, and what saving them takes
    hierarchy.RemoveItem(hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)))
    a_panel.host.process_events()
    assert ids() == before
    assert items() == count


def test_a_chosen_image_is_enough_to_warm_the_worker_up(an_mr_node, a_panel):
    from medai.jobs import default_worker

    assert a_panel.widget.logic._warmUp is not None
    a_panel.wait_until(lambda: a_panel.widget.logic._warmUp.ended)
    assert default_worker().warm
    assert not default_worker().busy
    assert not a_panel.widget.logic._poller._timer.active
    assert a_panel.segmentations() == []


def test_without_an_image_nothing_is_started(a_panel):
    assert a_panel.widget.logic._warmUp is None


def test_where_packages_are_missing_no_worker_is_started(a_slicer):
    from MedAISegmentationLib.warm_up import WarmUp

    warm_up = WarmUp(lambda: pytest.fail("No process may be started."), lambda: False)
    warm_up._begin = 0.0
    while warm_up.poll():
        pass
    assert warm_up.ended


def test_the_log_tells_every_stage_once(an_mr_node, a_panel):
    a_panel.choose(an_mr_node)
    a_panel.apply_and_wait()
    lines = [line.split("  ", 1)[1] for line in a_panel.log.splitlines() if line[:2].isdigit()]
    for stage in ("Starting", "Preparing", "Segmenting"):
        assert lines.count(stage) <= 1
    assert "Segmenting" in lines
