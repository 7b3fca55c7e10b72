"""`Labelmap` to segmentation node."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonMath import vtkMatrix4x4

from medai.errors import InputError
from medai.mrml import add_result, show_closed_surface, volume_from_node
from medai.mrml.segmentations import fill_segmentation
from medai.mrml.transforms import array_from_matrix, matrix_from_array
from medai.mrml.volumes import fill_volume_node
from medai.result import Labelmap, Provenance, Result, Segment
from medai.volume import apply_affine


def image_of(node, name):
    segmentation = node.GetSegmentation()
    identifier = segmentation.GetSegmentIdBySegmentName(name)
    return segmentation.GetSegment(identifier).GetRepresentation("Binary labelmap")


def array_of(node, name):
    image = image_of(node, name)
    value = node.GetSegmentation().GetSegment(node.GetSegmentation().GetSegmentIdBySegmentName(name)).GetLabelValue()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1]) == value


def names_of(node):
    segmentation = node.GetSegmentation()
    return [segmentation.GetNthSegment(n).GetName() for n in range(segmentation.GetNumberOfSegments())]


@pytest.fixture
def a_segmentation_node(a_volume_node, a_result):
    return add_result(a_result, a_volume_node).segmentation


def test_all_segments_share_one_layer(a_segmentation_node):
    segmentation = a_segmentation_node.GetSegmentation()
    assert segmentation.GetNumberOfLayers() == 1
    assert names_of(a_segmentation_node) == ["Left hippocampus", "Right hippocampus", "Absent"]
    values = [segmentation.GetNthSegment(n).GetLabelValue() for n in range(3)]
    assert values == [1, 2, 7]


def test_a_hundred_segments_are_one_image(a_scene):
    array = np.arange(101, dtype=np.uint8).repeat(4).reshape(1, 4, 101)
    node = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segments = tuple(Segment(f"S{n}", n) for n in range(1, 101))
    fill_segmentation(node, Labelmap(array, np.eye(4), segments), np.eye(4))
    assert node.GetSegmentation().GetNumberOfSegments() == 100
    assert len({image_of(node, f"S{n}") for n in range(1, 101)}) == 1


def test_empty_segment_is_kept(a_segmentation_node):
    assert not array_of(a_segmentation_node, "Absent").any()


def test_voxels_are_the_labelmaps(a_segmentation_node, a_result):
    labels = a_result.labelmap.array
    assert np.array_equal(array_of(a_segmentation_node, "Left hippocampus"), labels == 1)
    assert np.array_equal(array_of(a_segmentation_node, "Right hippocampus"), labels == 2)


def test_node_does_not_share_memory_with_the_result(a_segmentation_node, a_result):
    a_result.labelmap.array[:] = 2
    assert array_of(a_segmentation_node, "Left hippocampus").any()


def test_overlapping_segments_lie_in_layers_of_their_own(a_volume_node, a_provenance):
    volume = volume_from_node(a_volume_node)
    layers = np.zeros((2, *volume.shape), np.uint8)
    layers[0, :3] = 1
    layers[1, 1:] = 1
    labelmap = Labelmap(layers, volume.affine, (Segment("Whole", 1, layer=0), Segment("Core", 1, layer=1)))
    node = add_result(Result((labelmap,), a_provenance), a_volume_node).segmentation
    assert node.GetSegmentation().GetNumberOfLayers() == 2
    assert np.array_equal(array_of(node, "Whole"), layers[0] == 1)
    assert np.array_equal(array_of(node, "Core"), layers[1] == 1)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.uint32, np.uint64])
def test_every_label_type_is_taken(a_scene, dtype):
    array = np.zeros((2, 3, 4), dtype)
    array[1, 1, 1] = 1
    node = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    fill_segmentation(node, Labelmap(array, np.eye(4), (Segment("One", 1),)), np.eye(4))
    assert np.array_equal(array_of(node, "One"), array == 1)


def test_labels_above_255_survive(a_scene):
    array = np.full((2, 3, 4), 70_0, np.uint32)
    node = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    fill_segmentation(node, Labelmap(array, np.eye(4), (Segment("High", 700),)), np.eye(4))
    assert array_of(node, "High").all()


def test_voxels_of_segments_that_were_not_kept_are_left_out(a_scene):
    array = np.array([[[1, 2, 3, 0]]], np.uint8)
    node = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    fill_segmentation(node, Labelmap(array, np.eye(4), (Segment("Two", 2),)), np.eye(4))
    assert vtk_to_numpy(image_of(node, "Two").GetPointData().GetScalars()).tolist() == [0, 2, 0, 0]


def test_terminology_and_colour_are_what_slicer_reads_back(a_segmentation_node):
    segmentation = a_segmentation_node.GetSegmentation()
    segment = segmentation.GetSegment(segmentation.GetSegmentIdBySegmentName("Left hippocampus"))
    entry = slicer.vtkSlicerTerminologyEntry()
    text = segment.GetTerminology()
    assert slicer.vtkSlicerTerminologiesModuleLogic.DeserializeTerminologyEntry(text, entry)
    assert entry.GetCategoryObject().GetCodeMeaning() == "Anatomical Structure"
    assert entry.GetTypeObject().GetCodingSchemeDesignator() == "SCT"
    assert entry.GetTypeObject().GetCodeValue() == "4821000"
    assert entry.GetTypeModifierObject().GetCodeMeaning() == "Left"
    assert slicer.vtkSlicerTerminologiesModuleLogic.SerializeTerminologyEntry(entry) == text
    assert segment.GetColor() == pytest.approx((0.9, 0.4, 0.2))


def test_segment_without_codes_is_tissue(a_segmentation_node):
    segmentation = a_segmentation_node.GetSegmentation()
    segment = segmentation.GetSegment(segmentation.GetSegmentIdBySegmentName("Right hippocampus"))
    assert "~SCT^85756007^Tissue~SCT^85756007^Tissue~^^~" in segment.GetTerminology()


def test_reference_geometry_is_the_input(a_segmentation_node, a_volume_node):
    role = a_segmentation_node.GetReferenceImageGeometryReferenceRole()
    assert a_segmentation_node.GetNodeReference(role) is a_volume_node
    parameter = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    assert a_segmentation_node.GetSegmentation().GetConversionParameter(parameter)


def test_geometry_is_the_inputs_to_the_last_bit(a_segmentation_node, a_volume_node):
    expected, found = vtkMatrix4x4(), vtkMatrix4x4()
    a_volume_node.GetIJKToRASMatrix(expected)
    image_of(a_segmentation_node, "Left hippocampus").GetImageToWorldMatrix(found)
    assert np.allclose(array_from_matrix(found), array_from_matrix(expected), rtol=1e-15, atol=1e-15)


def test_surfaces_come_on_request(a_segmentation_node):
    assert not a_segmentation_node.GetSegmentation().ContainsRepresentation("Closed surface")
    show_closed_surface(a_segmentation_node)
    segmentation = a_segmentation_node.GetSegmentation()
    surface = segmentation.GetNthSegment(0).GetRepresentation("Closed surface")
    assert surface.GetNumberOfPoints() > 0
    assert a_segmentation_node.GetDisplayNode().GetVisibility3D()
    show_closed_surface(a_segmentation_node, visible=False)
    assert not a_segmentation_node.GetDisplayNode().GetVisibility3D()


@pytest.fixture
def an_edited_segmentation(a_segmentation_node):
    """A person has painted a tumour into the same layer, and recoloured a segment."""
    segmentation = a_segmentation_node.GetSegmentation()
    image = image_of(a_segmentation_node, "Absent")
    tumour = slicer.vtkSegment()
    tumour.SetName("Tumour")
    tumour.SetLabelValue(9)
    tumour.AddRepresentation("Binary labelmap", image)
    segmentation.AddSegment(tumour, "Tumour")
    vtk_to_numpy(image.GetPointData().GetScalars())[60:70] = 9
    segmentation.GetSegment(segmentation.GetSegmentIdBySegmentName("Left hippocampus")).SetColor(1, 1, 0)
    return a_segmentation_node


def result_like(volume_node, names, where):
    volume = volume_from_node(volume_node)
    array = np.zeros(volume.shape, np.uint8)
    for value in range(1, len(names) + 1):
        array[where, value] = value
    segments = tuple(Segment(name, n) for n, name in enumerate(names, 1))
    return Result((Labelmap(array, volume.affine, segments),), Provenance("segment", "again"))


def test_segments_of_the_same_name_are_replaced_and_others_left_alone(an_edited_segmentation, a_volume_node):
    node = an_edited_segmentation
    tumour = array_of(node, "Tumour")
    result = result_like(a_volume_node, ["Left hippocampus", "New one"], 3)
    nodes = add_result(result, a_volume_node, segmentation=node)
    assert nodes.segmentation is node
    assert nodes.folder == 0
    assert names_of(node) == ["Left hippocampus", "Right hippocampus", "Absent", "Tumour", "New one"]
    assert np.array_equal(array_of(node, "Left hippocampus"), result.labelmap.array == 1)
    assert np.array_equal(array_of(node, "New one"), result.labelmap.array == 2)
    assert np.array_equal(array_of(node, "Tumour"), tumour)
    assert tumour.any()
    assert node.GetAttribute("MedAI.Bundle") == "again"
    segment = node.GetSegmentation().GetSegment(node.GetSegmentation().GetSegmentIdBySegmentName("Left hippocampus"))
    assert segment.GetColor() == (1, 1, 0)


def test_replaced_voxels_do_not_stay_behind_in_the_shared_layer(an_edited_segmentation, a_volume_node):
    add_result(result_like(a_volume_node, ["Left hippocampus"], 3), a_volume_node, segmentation=an_edited_segmentation)
    old_layer = vtk_to_numpy(image_of(an_edited_segmentation, "Tumour").GetPointData().GetScalars())
    assert set(np.unique(old_layer)) == {0, 2, 9}


def test_surfaces_follow_the_new_voxels(an_edited_segmentation, a_volume_node):
    show_closed_surface(an_edited_segmentation)
    segmentation = an_edited_segmentation.GetSegmentation()
    identifier = segmentation.GetSegmentIdBySegmentName("Absent")
    assert segmentation.GetSegment(identifier).GetRepresentation("Closed surface").GetNumberOfPoints() == 0
    add_result(result_like(a_volume_node, ["Absent"], 2), a_volume_node, segmentation=an_edited_segmentation)
    assert segmentation.GetSegment(identifier).GetRepresentation("Closed surface").GetNumberOfPoints() > 0


def test_empty_segmentation_node_can_be_written_into(a_scene, a_volume_node, a_result):
    node = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Mine")
    assert add_result(a_result, a_volume_node, segmentation=node).segmentation is node
    assert len(names_of(node)) == 3


def test_segmentation_made_of_surfaces_is_refused(a_scene, a_volume_node, a_segmentation_node, a_result):
    show_closed_surface(a_segmentation_node)
    a_segmentation_node.GetSegmentation().SetSourceRepresentationName("Closed surface")
    with pytest.raises(InputError, match="stored as 'Closed surface'"):
        add_result(a_result, a_volume_node, segmentation=a_segmentation_node)


angles = st.floats(-3, 3)


@st.composite
def affines(draw):
    """Rotation times shear times flips and anisotropy."""
    a, b, c = draw(angles), draw(angles), draw(angles)
    rz = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    ry = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    rx = np.array([[1, 0, 0], [0, np.cos(c), -np.sin(c)], [0, np.sin(c), np.cos(c)]])
    shear = np.eye(3)
    shear[0, 1], shear[0, 2], shear[1, 2] = (draw(st.floats(-0.8, 0.8)) for _ in range(3))
    scale = np.diag([draw(st.floats(0.2, 6)) * draw(st.sampled_from([-1, 1])) for _ in range(3)])
    affine = np.eye(4)
    affine[:3, :3] = rz @ ry @ rx @ shear @ scale
    affine[:3, 3] = [draw(st.floats(-200, 200)) for _ in range(3)]
    return affine


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(affine=affines(), parent=st.none() | affines(), seed=st.integers(0, 2**16))
def test_every_voxel_stays_at_its_place_in_the_world(a_scene, voxels_in_world, affine, parent, seed):
    node = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    array = (np.random.default_rng(seed).random((3, 4, 5)) > 0.7).astype(np.uint8)
    fill_volume_node(node, array, affine)
    if parent is not None:
        transform = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        transform.SetMatrixTransformToParent(matrix_from_array(parent))
        node.SetAndObserveTransformNodeID(transform.GetID())
    volume = volume_from_node(node)
    result = Result((Labelmap(volume.array, volume.affine, (Segment("S", 1),)),), Provenance("segment", "b"))
    segmentation_node = add_result(result, node).segmentation
    expected = apply_affine(volume.affine, np.argwhere(array)[:, ::-1].astype(float))
    found = voxels_in_world(segmentation_node, segmentation_node.GetSegmentation().GetNthSegmentID(0))
    assert np.allclose(found, expected, atol=1e-6)
    a_scene.Clear(False)
