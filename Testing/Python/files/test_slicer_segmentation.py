"""Slicer's own storage node reads what is written here."""

from __future__ import annotations

import numpy as np
import pytest

from medai.files import write

slicer = pytest.importorskip("slicer")


@pytest.fixture
def loaded(tmp_path):
    """Writes a labelmap and loads it into a scene of its own with Slicer's storage node."""
    from medai.mrml.scene import create_scene

    scenes = []

    def load(labelmap):
        write(labelmap, tmp_path / "out.seg.nrrd")
        scene = create_scene()
        scenes.append(scene)
        node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        storage = slicer.vtkMRMLSegmentationStorageNode()
        scene.AddNode(storage)
        storage.SetFileName(str(tmp_path / "out.seg.nrrd"))
        assert storage.ReadData(node)
        return node

    return load


def mask_of(node, name: str, shape: tuple[int, int, int]) -> np.ndarray:
    from vtk.util.numpy_support import vtk_to_numpy

    segmentation = node.GetSegmentation()
    segment = segmentation.GetSegment(segmentation.GetSegmentIdBySegmentName(name))
    image = segment.GetRepresentation("Binary labelmap")
    i, j, k = image.GetDimensions()
    assert (k, j, i) == shape
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(shape) == segment.GetLabelValue()


def test_names_colours_and_terminology_are_there(loaded, a_labelmap):
    import vtk

    segmentation = loaded(a_labelmap).GetSegmentation()
    segments = [segmentation.GetNthSegment(n) for n in range(segmentation.GetNumberOfSegments())]
    assert [segment.GetName() for segment in segments] == ["Anterior hippocampus", "Größe : übrig | Rest", "Absent"]
    assert segments[0].GetColor() == pytest.approx((0.9, 0.2, 0.1))
    assert segments[1].GetColor() == pytest.approx((0, 0.25, 1))
    assert [segment.GetLabelValue() for segment in segments] == [1, 2, 3]
    entry = vtk.mutable("")
    assert segments[0].GetTag("TerminologyEntry", entry)
    assert "~SCT^123037004^Anatomical Structure~SCT^72713000^Hippocampus~^^~" in entry.get()


def test_masks_are_there_in_one_shared_layer(loaded, a_labelmap):
    node = loaded(a_labelmap)
    assert node.GetSegmentation().GetNumberOfLayers("Binary labelmap") == 1
    for segment in a_labelmap.segments:
        np.testing.assert_array_equal(mask_of(node, segment.name, (5, 6, 7)), a_labelmap.mask(segment))


def test_overlapping_segments_are_there_in_layers(loaded, a_labelmap_with_overlap):
    node = loaded(a_labelmap_with_overlap)
    assert node.GetSegmentation().GetNumberOfLayers("Binary labelmap") == 2
    for segment in a_labelmap_with_overlap.segments:
        np.testing.assert_array_equal(mask_of(node, segment.name, (5, 6, 7)), a_labelmap_with_overlap.mask(segment))


def test_the_geometry_is_the_images_own(loaded, a_labelmap):
    import vtk

    segmentation = loaded(a_labelmap).GetSegmentation()
    matrix = vtk.vtkMatrix4x4()
    segmentation.GetNthSegment(0).GetRepresentation("Binary labelmap").GetImageToWorldMatrix(matrix)
    found = np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])
    np.testing.assert_allclose(found, a_labelmap.affine, rtol=0, atol=1e-12)


def test_the_reference_geometry_is_kept_for_editing(loaded, a_labelmap):
    segmentation = loaded(a_labelmap).GetSegmentation()
    text = segmentation.GetConversionParameter("Reference image geometry")
    numbers = [float(part) for part in text.split(";") if part]
    np.testing.assert_allclose(np.reshape(numbers[:16], (4, 4)), a_labelmap.affine, rtol=0, atol=1e-15)
    assert numbers[16:] == [0, 6, 0, 5, 0, 4]


def test_terminology_is_written_as_nodes_carry_it(loaded, a_labelmap):
    import vtk

    from medai.terminology import terminology_entry

    segmentation = loaded(a_labelmap).GetSegmentation()
    for number, segment in enumerate(a_labelmap.segments):
        entry = vtk.mutable("")
        segmentation.GetNthSegment(number).GetTag("TerminologyEntry", entry)
        assert entry.get() == terminology_entry(segment)
