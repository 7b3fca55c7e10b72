"""qMRMLNodeComboBox follows the scene."""

from __future__ import annotations

import pytest


@pytest.fixture
def a_scene(a_slicer):
    return a_slicer.scene


@pytest.fixture
def a_volume_node(a_scene):
    return a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "head")


@pytest.fixture
def the_events(a_selector):
    """What `currentNodeChanged` told, as names."""
    names = []
    slot = lambda node: names.append(node.GetName() if node else None)  # noqa: E731
    a_selector.connect("currentNodeChanged(vtkMRMLNode*)", slot)
    return names


def add(scene, name, kind="vtkMRMLScalarVolumeNode"):
    return scene.AddNewNodeByClass(kind, name)


def names(selector):
    return [node.GetName() for node in selector.nodes()]


def entries(selector):
    box = next(child for child in selector.children() if child.className() == "QComboBox")
    return [box.itemText(row) for row in range(box.count)]


def test_it_is_disabled_until_it_has_a_scene(a_selector, a_scene):
    assert not a_selector.enabled
    a_selector.setMRMLScene(a_scene)
    assert a_selector.enabled


def test_without_none_the_first_node_is_chosen(a_selector, a_scene, a_volume_node):
    add(a_scene, "second")
    a_selector.setMRMLScene(a_scene)
    assert a_selector.currentNode() is a_volume_node


def test_with_none_nothing_is_chosen(a_selector, a_scene, a_volume_node):
    a_selector.noneEnabled = True
    a_selector.setMRMLScene(a_scene)
    assert a_selector.currentNode() is None
    assert entries(a_selector) == ["None", "head"]


def test_the_first_node_of_an_empty_box_is_chosen_when_it_comes(a_selector, a_scene, the_events):
    a_selector.setMRMLScene(a_scene)
    add(a_scene, "head")
    add(a_scene, "second")
    assert the_events == ["head"]


def test_an_offer_to_create_nodes_keeps_the_choice_open(a_selector, a_scene, the_events):
    a_selector.addEnabled = True
    a_selector.setMRMLScene(a_scene)
    add(a_scene, "head")
    assert a_selector.currentNode() is None
    assert the_events == []


def test_a_choice_before_the_scene_waits_for_it(a_selector, a_scene):
    add(a_scene, "first")
    second = add(a_scene, "second")
    a_selector.setCurrentNodeID(second.GetID())
    a_selector.setMRMLScene(a_scene)
    assert a_selector.currentNode() is second


def test_only_wanted_types_are_offered(a_selector, a_scene, a_volume_node):
    add(a_scene, "surface", "vtkMRMLModelNode")
    add(a_scene, "labels", "vtkMRMLLabelMapVolumeNode")
    a_selector.setMRMLScene(a_scene)
    assert names(a_selector) == ["head", "labels"]
    a_selector.showChildNodeTypes = False
    assert names(a_selector) == ["head"]


def test_hidden_nodes_are_not_offered(a_selector, a_scene, a_volume_node):
    a_selector.setMRMLScene(a_scene)
    a_volume_node.SetHideFromEditors(True)
    assert names(a_selector) == []
    assert a_selector.currentNode() is None


def test_attributes_filter_nodes(a_selector, a_scene, a_volume_node):
    a_selector.setMRMLScene(a_scene)
    a_selector.addAttribute("vtkMRMLScalarVolumeNode", "Modality", "MR")
    assert a_selector.nodeCount() == 0
    a_volume_node.SetAttribute("Modality", "MR")
    assert a_selector.nodeCount() == 1


def test_a_new_name_shows_at_once(a_selector, a_scene, a_volume_node):
    a_selector.setMRMLScene(a_scene)
    a_volume_node.SetName("patient")
    assert entries(a_selector) == ["patient"]


def test_the_node_before_a_removed_one_is_next(a_selector, a_scene, the_events):
    nodes = [add(a_scene, name) for name in ("a", "b", "c")]
    a_selector.setMRMLScene(a_scene)
    a_selector.setCurrentNode(nodes[1])
    a_scene.RemoveNode(nodes[1])
    assert the_events == ["a", "b", "a"]
    assert names(a_selector) == ["a", "c"]


def test_removing_the_only_node_leaves_none(a_selector, a_scene, a_volume_node, the_events):
    a_selector.setMRMLScene(a_scene)
    a_scene.RemoveNode(a_volume_node)
    assert the_events == ["head", None]
    assert a_selector.currentNodeID == ""


def test_closing_the_scene_empties_it(a_slicer, a_selector, a_scene, a_volume_node):
    a_selector.setMRMLScene(a_scene)
    a_slicer.close_scene()
    assert (a_selector.nodeCount(), a_selector.currentNode()) == (0, None)


def test_choosing_the_same_node_again_tells_nobody(a_selector, a_scene, a_volume_node, the_events):
    a_selector.setMRMLScene(a_scene)
    a_selector.setCurrentNode(a_volume_node)
    assert the_events == ["head"]


def test_all_its_signals_tell_of_a_choice(a_selector, a_scene, a_volume_node):
    told = []
    a_selector.connect("currentNodeChanged(bool)", told.append)
    a_selector.connect("currentNodeIDChanged(QString)", told.append)
    a_selector.setMRMLScene(a_scene)
    assert told == [True, a_volume_node.GetID()]


def test_a_person_creates_a_node(a_selector, a_scene):
    a_selector.addEnabled = True
    a_selector.baseName = "Image"
    created = []
    a_selector.connect("nodeAddedByUser(vtkMRMLNode*)", created.append)
    a_selector.setMRMLScene(a_scene)
    assert entries(a_selector) == ["Create new Volume"]
    a_selector.addNode()
    a_selector.addNode()
    assert [node.GetName() for node in created] == ["Image", "Image_1"]
    assert a_selector.currentNode() is created[1]


def test_it_creates_only_what_it_offers(a_selector, a_scene):
    a_selector.setMRMLScene(a_scene)
    before = a_scene.GetNumberOfNodes()
    assert a_selector.addNode("vtkMRMLModelNode") is None
    assert a_scene.GetNumberOfNodes() == before


def test_a_deleted_selector_lets_go_of_the_scene(a_slicer, a_selector, a_scene):
    a_selector.setMRMLScene(a_scene)
    a_selector.deleteLater()
    a_slicer.process_events()
    add(a_scene, "later")
    a_slicer.process_events()
    assert a_slicer.errors == []
