from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("slicer")

import slicer

from medai.errors import InputError
from medai.mrml import create_scene
from medai.mrml.segmentations import fill_segmentation
from medai.mrml.training_items import training_pairs
from medai.mrml.transforms import matrix_from_array
from medai.mrml.volumes import fill_volume_node
from medai.result import Labelmap, Segment
from medai.training.data import check, read_data_list
from medai.training.data.scene import data_list_from_pairs

OBLIQUE = np.array([[0.7, 0.2, -0.5, 10.0], [-0.3, 1.1, 0.4, -20.0], [0.4, -0.1, 2.5, 30.0], [0.0, 0.0, 0.0, 1.0]])
ROLE = "referenceImageGeometryRef"


@pytest.fixture
def a_scene() -> Any:
    return create_scene()


@pytest.fixture
def add_volume(a_scene, rng):
    def add(name: str, kind: str = "Scalar", array: np.ndarray | None = None, affine: np.ndarray = OBLIQUE) -> Any:
        node = a_scene.AddNewNodeByClass(f"vtkMRML{kind}VolumeNode", name)
        fill_volume_node(node, rng.integers(0, 99, (4, 5, 6)).astype(np.int16) if array is None else array, affine)
        return node

    return add


@pytest.fixture
def add_segmentation(a_scene):
    """Segments given by name and block of voxels, on the grid of `image` unless another one is given."""

    def add(name: str, image: Any, segments: dict[str, tuple], affine: np.ndarray = OBLIQUE, shape=(4, 5, 6)) -> Any:
        array = np.zeros(shape, np.uint8)
        for value, block in enumerate(segments.values(), 1):
            array[block] = value
        node = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
        items = tuple(Segment(segment, value) for value, segment in enumerate(segments, 1))
        fill_segmentation(node, Labelmap(array, affine, items), affine)
        if image is not None:
            node.SetReferenceImageGeometryParameterFromVolumeNode(image)
        return node

    return add


A, B = np.s_[1:3, 1:3, 1:4], np.s_[3, 4, 4:6]


def test_a_segmentation_belongs_to_the_image_it_was_drawn_on(a_scene, add_volume, add_segmentation):
    first, second = add_volume("First"), add_volume("Second")
    add_segmentation("of the second", second, {"Tumour": A, "Edema": B})
    (image, none), (_, labels) = training_pairs(a_scene)
    assert (image.name, none) == ("First", None)
    assert [segment.name for segment in labels.segments] == ["Tumour", "Edema"]
    assert labels.mask(labels.segments[0]).sum() == 12
    assert labels.mask(labels.segments[0])[A].all()
    assert labels.mask(labels.segments[1])[B].all()
    assert first.GetID() == image.id


def test_a_segmentation_of_the_only_image_needs_no_reference(a_scene, add_volume, add_segmentation):
    add_volume("Head")
    add_segmentation("drawn elsewhere", None, {"Tumour": A})
    ((_, labels),) = training_pairs(a_scene)
    assert labels is not None


def test_a_smaller_segmentation_is_placed_on_the_voxels_of_its_image(a_scene, add_volume, add_segmentation):
    image = add_volume("Head")
    corner = OBLIQUE.copy()
    corner[:3, 3] = (OBLIQUE @ [2, 1, 1, 1])[:3]
    add_segmentation("cropped", image, {"Tumour": np.s_[:, :, :]}, corner, (2, 3, 3))
    ((_, labels),) = training_pairs(a_scene)
    expected = np.zeros((4, 5, 6), bool)
    expected[1:3, 1:4, 2:5] = True
    np.testing.assert_array_equal(labels.mask(labels.segments[0]), expected)


def test_a_segmentation_made_of_surfaces_becomes_voxels(a_scene, add_volume, add_segmentation):
    shape, affine = (20, 20, 20), np.eye(4)
    image = add_volume("Head", array=np.zeros(shape, np.int16), affine=affine)
    node = add_segmentation("of it", image, {"Cube": np.s_[5:15, 5:15, 5:15]}, affine, shape)
    assert node.CreateClosedSurfaceRepresentation()
    node.GetSegmentation().SetSourceRepresentationName("Closed surface")
    node.GetSegmentation().RemoveRepresentation("Binary labelmap")
    ((_, labels),) = training_pairs(a_scene)
    mask = labels.mask(labels.segments[0])
    assert mask[6:14, 6:14, 6:14].all()
    assert mask.sum() == pytest.approx(1000, rel=0.2)  # smoothing takes the edges off


def test_a_shared_transform_changes_nothing_of_the_match(a_scene, add_volume, add_segmentation):
    image = add_volume("Head")
    segmentation = add_segmentation("of it", image, {"Tumour": A})
    transform = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    move = np.eye(4)
    move[:3, 3] = [5, -7, 11]
    transform.SetMatrixTransformToParent(matrix_from_array(move))
    for node in (image, segmentation):
        node.SetAndObserveTransformNodeID(transform.GetID())
    ((volume, labels),) = training_pairs(a_scene)
    np.testing.assert_allclose(volume.affine, move @ OBLIQUE)
    assert labels.mask(labels.segments[0]).sum() == 12
    assert labels.mask(labels.segments[0])[A].all()


def test_a_label_map_belongs_to_the_image_of_its_name(a_scene, add_volume):
    add_volume("Head")
    add_volume("Neck")
    array = np.zeros((4, 5, 6), np.uint8)
    array[A] = 3
    add_volume("Neck-label", "LabelMap", array)
    pairs = {image.name: labels for image, labels in training_pairs(a_scene)}
    assert pairs["Head"] is None
    assert pairs["Neck"].segments[0].value == 3


def test_overlapping_segments_keep_layers_and_are_refused_for_a_label_map(
    a_scene, add_volume, add_segmentation, tmp_path
):
    image = add_volume("Head")
    node = add_segmentation("of it", image, {"Tumour": A})
    other = add_segmentation("other", image, {"Core": np.s_[2, 2, 2]})
    core = other.GetSegmentation().GetNthSegment(0)
    node.GetSegmentation().AddSegment(core)
    a_scene.RemoveNode(other)
    pairs = training_pairs(a_scene)
    labels = pairs[0][1]
    assert [labels.mask(segment).sum() for segment in labels.segments] == [12, 1]
    with pytest.raises(InputError, match="overlap"):
        data_list_from_pairs(pairs, tmp_path / "cases")


def test_cases_are_saved_with_one_value_per_segment_name(a_scene, add_volume, add_segmentation, tmp_path):
    for n, segments in enumerate(({"Tumour": A, "Edema": B}, {"Edema": B, "Tumour": A})):
        add_segmentation(f"of {n}", add_volume("Head: T1/post"), segments)
    data = data_list_from_pairs(training_pairs(a_scene), tmp_path / "cases", patients=["P1", "P2"])
    assert data.label_names == {0: "background", 1: "Tumour", 2: "Edema"}
    report = check(data)
    assert report.passed
    assert report.voxels == {"background": 2 * (120 - 14), "Tumour": 24, "Edema": 4}
    assert [item.patient for item in data] == ["P1", "P2"]
    assert len(read_data_list(tmp_path / "cases")) == 2


def test_an_empty_scene_and_a_full_folder_are_told(a_scene, add_volume, tmp_path):
    with pytest.raises(InputError, match="nothing to train on"):
        data_list_from_pairs(training_pairs(a_scene), tmp_path / "cases")
    add_volume("Head")
    assert data_list_from_pairs(training_pairs(a_scene), tmp_path / "cases").task == ""
    with pytest.raises(InputError, match="already holds cases"):
        data_list_from_pairs(training_pairs(a_scene), tmp_path / "cases")


def test_the_reference_of_slicer_is_the_one_looked_for():
    assert slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole() == ROLE
