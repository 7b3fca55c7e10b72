"""A `Result` enters the scene whole or not at all."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import slicer
from vtkmodules.util.numpy_support import vtk_to_numpy

from medai.errors import GeometryError, InputError, SceneError
from medai.mrml import add_result, create_scene, region_from_node, volume_from_node
from medai.result import Boxes, Labelmap, Plot, Result, Segment, Table
from medai.volume import Region, Volume, apply_affine

SHEARED = np.array([[1.2, 0.5, 0, 11], [0, 0.9, 0.3, -5], [0.2, 0, -1.5, 7], [0, 0, 0, 1.0]])


def all_ids(scene):
    return [scene.GetNthNode(n).GetID() for n in range(scene.GetNumberOfNodes())]


def items_of(scene):
    hierarchy = scene.GetSubjectHierarchyNode()
    return hierarchy.GetNumberOfItemChildren(hierarchy.GetSceneItemID(), True)


@pytest.fixture
def a_full_result(a_volume_node, a_result, a_provenance):
    volume = volume_from_node(a_volume_node)
    table = Table({"year": (0.0, 1.0), "mL": (3.1, 2.9)}, "atrophy")
    return Result(
        (
            *a_result.items,
            Volume(volume.array.astype(np.float32) / 2, volume.affine, "denoised", "MR"),
            Boxes((Region([1, 2, 3], [4, 5, 6], name="n"),), (0.93,), ("nodule",)),
            Plot(table, "year", ("mL",), "Time (years)", "Volume (mL)", "Atrophy"),
        ),
        a_provenance,
    )


def test_removing_the_one_item_removes_everything(a_scene, a_volume_node, a_full_result):
    before, items = all_ids(a_scene), items_of(a_scene)
    nodes = add_result(a_full_result, a_volume_node, closed_surface=True)
    assert len(all_ids(a_scene)) - len(before) >= 10  # six data nodes and their display nodes
    a_scene.GetSubjectHierarchyNode().RemoveItem(nodes.folder)
    assert all_ids(a_scene) == before
    assert items_of(a_scene) == items


def test_result_lies_beside_its_input(a_scene, a_volume_node, a_result):
    hierarchy = a_scene.GetSubjectHierarchyNode()
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "Doe^Jane")
    study = hierarchy.CreateStudyItem(patient, "MR 2020")
    hierarchy.CreateItem(study, a_volume_node)
    nodes = add_result(a_result, a_volume_node)
    assert hierarchy.GetItemParent(nodes.folder) == study
    assert hierarchy.GetItemName(nodes.folder) == "hippocampus: Head"
    for node in (nodes.segmentation, *nodes.tables):
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == nodes.folder


def test_every_created_node_carries_the_provenance(a_volume_node, a_full_result):
    nodes = add_result(a_full_result, a_volume_node)
    for node in (nodes.segmentation, *nodes.volumes, *nodes.tables, *nodes.rois, *nodes.plots):
        for key, value in a_full_result.provenance.attributes().items():
            assert node.GetAttribute(key) == value, node.GetClassName()


def test_volume_node_has_the_voxels_and_a_display(a_volume_node, a_full_result):
    (node,) = add_result(a_full_result, a_volume_node).volumes
    expected = a_full_result.items[2]
    found = volume_from_node(node)
    assert node.GetClassName() == "vtkMRMLScalarVolumeNode"
    assert np.array_equal(found.array, expected.array)
    assert found.same_grid(expected)
    assert found.modality == "MR"
    assert node.GetDisplayNode().GetAutoWindowLevel()


@pytest.mark.parametrize(
    ("array", "modality", "kind"),
    [
        (np.zeros((2, 3, 4, 3), np.uint8), "", "vtkMRMLVectorVolumeNode"),
        (np.ones((2, 3, 4), np.uint8), "SEG", "vtkMRMLLabelMapVolumeNode"),
        (np.ones((2, 3, 4), bool), "", "vtkMRMLScalarVolumeNode"),
        (np.ones((2, 3, 4), np.float16), "", "vtkMRMLScalarVolumeNode"),
        (np.ones((2, 3, 4), ">i2"), "", "vtkMRMLScalarVolumeNode"),
        (np.ones((4, 3, 2), np.float64).T, "", "vtkMRMLScalarVolumeNode"),
    ],
)
def test_every_kind_of_array_becomes_a_volume_node(a_volume_node, a_provenance, array, modality, kind):
    result = Result((Volume(array, np.eye(4), modality=modality),), a_provenance)
    (node,) = add_result(result, a_volume_node).volumes
    assert node.GetClassName() == kind
    assert np.array_equal(volume_from_node(node).array, array)


def test_table_columns_are_numbers_or_text(a_volume_node, a_provenance):
    table = Table({"name": ("a", None), "n": (1, np.int64(2)), "x": (0.5, np.float32(2)), "ok": (True, False)})
    (node,) = add_result(Result((table,), a_provenance), a_volume_node).tables
    columns = {node.GetColumnName(n): node.GetTable().GetColumn(n) for n in range(4)}
    assert [columns[title].GetClassName() for title in table.columns] == [
        "vtkStringArray",
        "vtkLongLongArray",
        "vtkDoubleArray",
        "vtkStringArray",
    ]
    assert columns["x"].GetValue(1) == 2.0
    assert columns["name"].GetValue(1) == ""


def test_box_becomes_a_region_with_its_score(a_volume_node, a_full_result):
    (node,) = add_result(a_full_result, a_volume_node).rois
    assert node.GetName() == "nodule 93%"
    assert node.GetDescription() == "nodule, confidence 0.930"
    region = region_from_node(node)
    assert np.allclose(region.center, [1, 2, 3])
    assert np.allclose(region.size, [4, 5, 6])


def test_plot_refers_to_its_table(a_volume_node, a_full_result):
    (chart,) = add_result(a_full_result, a_volume_node).plots
    series = chart.GetNthPlotSeriesNode(0)
    assert (chart.GetTitle(), chart.GetXAxisTitle(), chart.GetYAxisTitle()) == (
        "Atrophy",
        "Time (years)",
        "Volume (mL)",
    )
    assert (series.GetXColumnName(), series.GetYColumnName()) == ("year", "mL")
    assert series.GetTableNode().GetNumberOfRows() == 2


FAILING_ITEMS = [
    (Table({"a": (1, 2), "b": (1,)}), InputError, "different lengths"),
    (Plot(Table({"a": (1, 2)}), "a", ("missing",)), InputError, "no column missing"),
]


@pytest.mark.parametrize(("item", "error", "text"), FAILING_ITEMS)
def test_failure_on_the_way_leaves_no_node_behind(a_scene, a_volume_node, a_full_result, item, error, text):  # noqa: PLR0917
    before, items = all_ids(a_scene), items_of(a_scene)
    with pytest.raises(error, match=text):
        add_result(Result((*a_full_result.items, item), a_full_result.provenance), a_volume_node, closed_surface=True)
    assert all_ids(a_scene) == before
    assert items_of(a_scene) == items


@pytest.mark.parametrize("closed_surface", [False, True])
def test_failure_on_the_way_restores_the_segmentation(a_volume_node, a_result, closed_surface):
    node = add_result(a_result, a_volume_node, closed_surface=closed_surface).segmentation
    segmentation = node.GetSegmentation()

    def state():
        return [
            (
                segmentation.GetNthSegmentID(n),
                segmentation.GetNthSegment(n).GetLabelValue(),
                segmentation.GetNthSegment(n).GetRepresentation("Binary labelmap"),
                segmentation.GetNthSegment(n).GetRepresentation("Closed surface"),
            )
            for n in range(segmentation.GetNumberOfSegments())
        ]

    before, attribute = state(), node.GetAttribute("MedAI.Version")
    voxels = vtk_to_numpy(before[0][2].GetPointData().GetScalars()).copy()
    labels = (a_result.labelmap.array != 0).astype(np.uint8) * 3
    segments = (Segment("Left hippocampus", 3), Segment("New", 4))
    other = Labelmap(labels, a_result.labelmap.affine, segments)
    provenance = type(a_result.provenance)("segment", "other", "9.9")
    with pytest.raises(InputError):
        add_result(Result((other, FAILING_ITEMS[0][0]), provenance), a_volume_node, segmentation=node)
    assert state() == before
    assert np.array_equal(vtk_to_numpy(before[0][2].GetPointData().GetScalars()), voxels)
    assert node.GetAttribute("MedAI.Version") == attribute


def test_closed_scene_is_refused(a_scene, a_volume_node, a_result):
    a_scene.Clear(True)
    with pytest.raises(SceneError, match="closed, or its input image was removed"):
        add_result(a_result, a_volume_node)
    with pytest.raises(SceneError, match="'Head' was removed"):
        add_result(a_result, a_volume_node, scene=a_scene)


def test_removed_input_is_refused_and_the_scene_untouched(a_scene, a_volume_node, a_result):
    a_scene.RemoveNode(a_volume_node)
    before = all_ids(a_scene)
    with pytest.raises(SceneError):
        add_result(a_result, a_volume_node, scene=a_scene)
    assert all_ids(a_scene) == before


def test_removed_output_segmentation_is_refused(a_scene, a_volume_node, a_result):
    node = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Output")
    a_scene.RemoveNode(node)
    with pytest.raises(SceneError, match="'Output' was removed"):
        add_result(a_result, a_volume_node, segmentation=node)


def test_another_scene_is_refused(a_volume_node, a_result):
    with pytest.raises(SceneError):
        add_result(a_result, a_volume_node, scene=create_scene())


def test_busy_scene_is_refused(a_scene, a_volume_node, a_result):
    a_scene.StartState(slicer.vtkMRMLScene.BatchProcessState)
    try:
        with pytest.raises(SceneError, match="being loaded, closed or restored"):
            add_result(a_result, a_volume_node)
    finally:
        a_scene.EndState(slicer.vtkMRMLScene.BatchProcessState)


def test_input_bent_meanwhile_is_refused_and_the_scene_untouched(
    a_scene, a_volume_node, a_result, a_bent_transform_node
):
    a_volume_node.SetAndObserveTransformNodeID(a_bent_transform_node.GetID())
    before = all_ids(a_scene)
    with pytest.raises(GeometryError, match="bent"):
        add_result(a_result, a_volume_node)
    assert all_ids(a_scene) == before


def test_result_moves_with_its_input(a_volume_node, make_transform_node, make_labelmap, a_provenance, voxels_in_world):
    transform = make_transform_node(SHEARED)
    a_volume_node.SetAndObserveTransformNodeID(transform.GetID())
    volume = volume_from_node(a_volume_node)
    result = Result((make_labelmap(volume),), a_provenance)
    node = add_result(result, a_volume_node).segmentation
    assert node.GetParentTransformNode() is transform
    index = np.argwhere(result.labelmap.array == 1)[:, ::-1].astype(float)
    assert np.allclose(voxels_in_world(node, "Left_hippocampus"), apply_affine(volume.affine, index))


def test_image_moved_during_the_job_keeps_its_result(
    a_volume_node, make_transform_node, make_labelmap, a_provenance, voxels_in_world
):
    then = volume_from_node(a_volume_node)
    result = Result((make_labelmap(then),), a_provenance)
    a_volume_node.SetAndObserveTransformNodeID(make_transform_node(SHEARED).GetID())
    node = add_result(result, a_volume_node, inputs=[then]).segmentation
    now = volume_from_node(a_volume_node)
    index = np.argwhere(result.labelmap.array == 1)[:, ::-1].astype(float)
    assert np.allclose(voxels_in_world(node, "Left_hippocampus"), apply_affine(now.affine, index))


def test_existing_segmentation_under_another_transform_keeps_it(  # noqa: PLR0917
    a_scene, a_volume_node, make_transform_node, make_labelmap, a_provenance, voxels_in_world
):
    a_volume_node.SetAndObserveTransformNodeID(make_transform_node(SHEARED).GetID())
    other = make_transform_node(np.array([[0, 1, 0, 3], [-1, 0, 0, 4], [0, 0, 1, 5], [0, 0, 0, 1.0]]), name="Other")
    node = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.SetAndObserveTransformNodeID(other.GetID())
    volume = volume_from_node(a_volume_node)
    result = Result((make_labelmap(volume),), a_provenance)
    add_result(result, a_volume_node, segmentation=node)
    assert node.GetParentTransformNode() is other
    index = np.argwhere(result.labelmap.array == 1)[:, ::-1].astype(float)
    assert np.allclose(voxels_in_world(node, "Left_hippocampus"), apply_affine(volume.affine, index))


@pytest.mark.parametrize("matrix", [SHEARED, np.array([[0, -1, 0, 3], [1, 0, 0, 4], [0, 0, 1, 5], [0, 0, 0, 1.0]])])
def test_box_stays_where_it_was_found_under_any_transform(a_volume_node, make_transform_node, a_provenance, matrix):
    a_volume_node.SetAndObserveTransformNodeID(make_transform_node(matrix).GetID())
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    box = Region([10, -4, 6], [7, 8, 9], turn)
    (node,) = add_result(Result((Boxes((box,), (0.5,), ("x",)),), a_provenance), a_volume_node).rois
    found = region_from_node(node)
    assert np.allclose(sorted(map(tuple, found.corners.round(6))), sorted(map(tuple, box.corners.round(6))))


def test_result_without_an_input_node_goes_to_the_root(a_scene, a_result, voxels_in_world):
    nodes = add_result(a_result, None, scene=a_scene)
    hierarchy = a_scene.GetSubjectHierarchyNode()
    assert hierarchy.GetItemParent(nodes.folder) == hierarchy.GetSceneItemID()
    index = np.argwhere(a_result.labelmap.array == 1)[:, ::-1].astype(float)
    expected = apply_affine(a_result.labelmap.affine, index)
    assert np.allclose(voxels_in_world(nodes.segmentation, "Left_hippocampus"), expected)


def test_voxels_of_a_result_survive_garbage_collection(a_volume_node, a_full_result):
    nodes = add_result(a_full_result, a_volume_node)
    expected = np.array(a_full_result.items[2].array)
    scalars = nodes.volumes[0].GetImageData().GetPointData().GetScalars()
    loop = [scalars]
    loop.append(loop)
    scalars.loop = loop  # a cycle through the Python object in front of the voxels
    del loop, scalars, a_full_result
    gc.collect()
    others = [np.full(expected.shape, -1, np.float32) for _ in range(100)]
    assert np.array_equal(volume_from_node(nodes.volumes[0]).array, expected)
    assert len(others) == 100


def test_scene_with_results_can_end_in_garbage_collection():
    code = """
        import gc
        import numpy as np
        from medai.mrml import add_result, create_scene
        from medai.mrml.volumes import fill_volume_node
        from medai.result import Labelmap, Provenance, Result, Segment
        for _ in range(10):
            scene = create_scene()
            node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
            labels = np.ones((3, 4, 5), np.uint8)
            fill_volume_node(node, labels, np.eye(4))
            labelmap = Labelmap(labels, np.eye(4), (Segment("S", 1),))
            add_result(Result((labelmap,), Provenance("segment", "b")), node)
            loop = [scene]
            loop.append(loop)
            scene.loop = loop
            del scene, node, loop
            gc.collect()
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], check=False, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


def test_input_emptied_meanwhile_still_gets_its_result(a_volume_node, a_result):
    a_volume_node.SetAndObserveImageData(None)
    assert add_result(a_result, a_volume_node).segmentation.GetSegmentation().GetNumberOfSegments() == 3


def test_the_provenance_of_a_node_arrives_as_one_change(a_volume_node, a_provenance):
    """Every selector of every open panel reacts to every change of a node."""
    from medai.mrml.transaction import set_attributes

    heard = []
    a_volume_node.AddObserver("ModifiedEvent", lambda *_: heard.append(1))
    set_attributes(a_volume_node, a_provenance.attributes())
    assert len(heard) == 1
    assert a_volume_node.GetAttribute("MedAI.Task") == a_provenance.task
