"""Volume nodes to `Volume`."""

from __future__ import annotations

import gc
import subprocess
import sys

import numpy as np
import pytest
import slicer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vtkmodules.vtkCommonCore import (
    vtkBitArray,
    vtkCharArray,
    vtkDoubleArray,
    vtkFloatArray,
    vtkIntArray,
    vtkLongArray,
    vtkLongLongArray,
    vtkShortArray,
    vtkSignedCharArray,
    vtkUnsignedCharArray,
    vtkUnsignedIntArray,
    vtkUnsignedLongArray,
    vtkUnsignedLongLongArray,
    vtkUnsignedShortArray,
)
from vtkmodules.vtkCommonDataModel import vtkImageData

from medai.errors import GeometryError, InputError
from medai.mrml import volume_from_node
from medai.mrml.transforms import matrix_from_array
from medai.volume import apply_affine

SCALAR_TYPES = [
    vtkCharArray,
    vtkSignedCharArray,
    vtkUnsignedCharArray,
    vtkShortArray,
    vtkUnsignedShortArray,
    vtkIntArray,
    vtkUnsignedIntArray,
    vtkLongArray,
    vtkUnsignedLongArray,
    vtkLongLongArray,
    vtkUnsignedLongLongArray,
    vtkFloatArray,
    vtkDoubleArray,
]


def image_of(scalars, dimensions=(4, 3, 2), components=1):
    scalars.SetNumberOfComponents(components)
    scalars.SetNumberOfTuples(int(np.prod(dimensions)))
    image = vtkImageData()
    image.SetDimensions(*dimensions)
    image.GetPointData().SetScalars(scalars)
    return image


def test_array_is_the_nodes_own_memory(a_volume_node):
    volume = volume_from_node(a_volume_node)
    scalars = a_volume_node.GetImageData().GetPointData().GetScalars()
    address = int(scalars.GetVoidPointer(0).split("_")[1], 16)
    assert volume.array.__array_interface__["data"][0] == address
    assert volume.shape == (4, 5, 6)


def test_writing_through_the_array_changes_the_node(a_volume_node):
    volume = volume_from_node(a_volume_node)
    volume.array[3, 2, 1] = -77
    assert a_volume_node.GetImageData().GetScalarComponentAsDouble(1, 2, 3, 0) == -77


def test_array_outlives_its_node(a_scene, a_volume_node):
    volume = volume_from_node(a_volume_node)
    a_scene.RemoveNode(a_volume_node)
    a_volume_node.SetAndObserveImageData(None)
    del a_volume_node
    gc.collect()
    fill = [np.full((4, 5, 6), 99, np.int16) for _ in range(1000)]  # whoever reuses the memory would be seen
    assert volume.array.ravel().tolist() == list(range(120))
    assert len(fill) == 1000


@pytest.mark.parametrize("scalar_type", SCALAR_TYPES, ids=lambda kind: kind.__name__)
def test_every_scalar_type_is_read_without_a_copy(a_scene, scalar_type):
    scalars = scalar_type()
    node = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    node.SetAndObserveImageData(image_of(scalars))
    for n in range(24):
        scalars.SetTuple1(n, n)
    volume = volume_from_node(node)
    assert volume.array.ravel().tolist() == list(range(24))
    volume.array[0, 0, 1] = 100
    assert scalars.GetTuple1(1) == 100


def test_bits_are_refused_with_a_remedy(a_scene):
    node = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Bits")
    node.SetAndObserveImageData(image_of(vtkBitArray()))
    with pytest.raises(InputError, match=r"single bits.*unsigned char"):
        volume_from_node(node)


def test_vector_volume_has_its_components_last(make_volume_node):
    colors = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    volume = volume_from_node(make_volume_node(colors, kind="Vector"))
    assert volume.channels == 3
    assert np.array_equal(volume.array, colors)


def test_label_map_and_diffusion_weighted_volumes_are_images_too(make_volume_node):
    labels = volume_from_node(make_volume_node(np.ones((2, 3, 4), np.uint8), kind="LabelMap"))
    assert labels.array.sum() == 24
    weighted = volume_from_node(make_volume_node(np.ones((2, 3, 4, 7), np.int16), kind="DiffusionWeighted"))
    assert weighted.channels == 7


def test_tensor_volume_is_refused(a_scene):
    node = a_scene.AddNewNodeByClass("vtkMRMLDiffusionTensorVolumeNode", "DTI")
    tensors = vtkFloatArray()
    tensors.SetNumberOfComponents(9)
    tensors.SetNumberOfTuples(24)
    image = vtkImageData()
    image.SetDimensions(4, 3, 2)
    image.GetPointData().SetTensors(tensors)
    node.SetAndObserveImageData(image)
    with pytest.raises(InputError, match="tensor"):
        volume_from_node(node)


def test_empty_node_is_refused(a_scene):
    with pytest.raises(InputError, match="'Nothing here' is empty"):
        volume_from_node(a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Nothing here"))


def test_node_without_voxels_is_refused(a_scene):
    node = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    node.SetAndObserveImageData(vtkImageData())
    with pytest.raises(InputError, match="empty"):
        volume_from_node(node)


@pytest.mark.parametrize("kind", ["vtkMRMLTableNode", "vtkMRMLSegmentationNode"])
def test_node_that_is_no_volume_is_refused(a_scene, kind):
    with pytest.raises(InputError, match="'Other' is not an image"):
        volume_from_node(a_scene.AddNewNodeByClass(kind, "Other"))


def test_no_node_is_refused():
    with pytest.raises(InputError, match="not an image"):
        volume_from_node(None)


def test_zero_spacing_is_refused(a_volume_node):
    a_volume_node.SetSpacing(1, 1, 0)
    with pytest.raises(GeometryError, match="spacing"):
        volume_from_node(a_volume_node)


def test_name_id_and_modality_are_kept(a_scene, a_volume_node):
    assert volume_from_node(a_volume_node).modality == ""
    hierarchy = a_scene.GetSubjectHierarchyNode()
    item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), a_volume_node)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "MR")
    volume = volume_from_node(a_volume_node)
    assert (volume.name, volume.id, volume.modality) == ("Head", a_volume_node.GetID(), "MR")
    a_volume_node.SetAttribute("DICOM.Modality", "CT")
    assert volume_from_node(a_volume_node).modality == "CT"


def test_extent_that_does_not_begin_at_zero_is_honoured(a_volume_node):
    before = volume_from_node(a_volume_node)
    a_volume_node.GetImageData().SetExtent(2, 7, 3, 7, 1, 4)
    after = volume_from_node(a_volume_node)
    assert np.allclose(after.affine[:3, 3], apply_affine(before.affine, np.array([[2, 3, 1]]))[0])


def test_chain_of_linear_transforms_is_applied(a_volume_node, make_transform_node):
    own = volume_from_node(a_volume_node).affine
    outer = np.array([[0, -1, 0, 5], [1, 0, 0, 6], [0, 0, 2, 7], [0, 0, 0, 1.0]])
    inner = np.array([[1, 0.3, 0, 1], [0, 1, 0, 2], [0, 0, -1, 3], [0, 0, 0, 1.0]])
    a_volume_node.SetAndObserveTransformNodeID(make_transform_node(inner, make_transform_node(outer)).GetID())
    assert np.allclose(volume_from_node(a_volume_node).affine, outer @ inner @ own)


def test_bent_transform_anywhere_in_the_chain_is_refused(a_volume_node, a_bent_transform_node, make_transform_node):
    straight = make_transform_node(np.eye(4), a_bent_transform_node)
    a_volume_node.SetAndObserveTransformNodeID(straight.GetID())
    with pytest.raises(GeometryError, match=r"'Head' is bent by the transform 'Warp'.*Harden transform"):
        volume_from_node(a_volume_node)


def test_flattening_transform_is_refused(a_volume_node, make_transform_node):
    a_volume_node.SetAndObserveTransformNodeID(make_transform_node(np.diag([1.0, 1, 0, 1])).GetID())
    with pytest.raises(GeometryError, match="flattens"):
        volume_from_node(a_volume_node)


matrices = st.lists(st.floats(-1, 1), min_size=9, max_size=9).map(lambda v: np.array(v).reshape(3, 3))
spacings = st.lists(st.floats(0.1, 8), min_size=3, max_size=3)
origins = st.lists(st.floats(-300, 300), min_size=3, max_size=3)


@st.composite
def affines(draw):
    """Any rotation, flip, anisotropy and moderate shear."""
    rotation, _ = np.linalg.qr(draw(matrices) + 2 * np.eye(3))
    shear = np.eye(3) + np.triu(draw(matrices), 1) * 0.6
    flips = np.diag(draw(st.lists(st.sampled_from([-1.0, 1.0]), min_size=3, max_size=3)))
    affine = np.eye(4)
    affine[:3, :3] = rotation @ shear @ flips @ np.diag(draw(spacings))
    affine[:3, 3] = draw(origins)
    return affine


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(affine=affines(), parent=affines(), ijk=st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(0, 3)))
def test_every_voxel_is_where_slicer_shows_it(a_scene, affine, parent, ijk):
    node = slicer.vtkMRMLScalarVolumeNode()
    a_scene.AddNode(node)
    node.SetAndObserveImageData(image_of(vtkShortArray(), (6, 5, 4)))
    node.SetIJKToRASMatrix(matrix_from_array(affine))
    transform = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(matrix_from_array(parent))
    node.SetAndObserveTransformNodeID(transform.GetID())

    expected = transform.GetTransformToParent().TransformPoint(
        matrix_from_array(affine).MultiplyPoint((*map(float, ijk), 1.0))[:3]
    )
    found = apply_affine(volume_from_node(node).affine, np.array([ijk], dtype=float))[0]
    assert np.allclose(found, expected, atol=1e-6 * (1 + np.abs(expected).max()))
    a_scene.RemoveNode(node)
    a_scene.RemoveNode(transform)


def test_importing_the_room_and_using_it_never_imports_torch():
    code = (
        "import sys, medai.mrml\n"
        "assert 'slicer' not in sys.modules, 'slicer is loaded before it is needed'\n"
        "[getattr(medai.mrml, name) for name in medai.mrml.__all__]\n"
        "medai.mrml.create_scene()\n"
        "sys.exit(sum(name.split('.')[0] in ('torch', 'monai', 'qt', 'PySide6') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, env=_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _environment():
    import os

    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
