"""Real MRML nodes, as a person's scene would hold them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("slicer")

import slicer

from medai.mrml import create_scene, volume_from_node
from medai.mrml.transforms import matrix_from_array
from medai.mrml.volumes import fill_volume_node
from medai.result import Code, Labelmap, Provenance, Result, Segment, Table

OBLIQUE = np.array(
    [[0.7, 0.2, -0.5, 10.0], [-0.3, 1.1, 0.4, -20.0], [0.4, -0.1, 2.5, 30.0], [0.0, 0.0, 0.0, 1.0]]
)  # rotated, sheared, anisotropic


@pytest.fixture
def a_scene() -> Any:
    return create_scene()


@pytest.fixture
def make_volume_node(a_scene):
    def make(array: NDArray[Any], affine: NDArray[Any] = OBLIQUE, name: str = "Head", kind: str = "Scalar") -> Any:
        node = a_scene.AddNewNodeByClass(f"vtkMRML{kind}VolumeNode", name)
        fill_volume_node(node, array, affine)
        node.CreateDefaultDisplayNodes()
        return node

    return make


@pytest.fixture
def a_volume_node(make_volume_node):
    return make_volume_node(np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6))


@pytest.fixture
def make_transform_node(a_scene):
    def make(matrix: NDArray[Any], parent: Any = None, name: str = "Registration") -> Any:
        node = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
        node.SetMatrixTransformToParent(matrix_from_array(matrix))
        if parent is not None:
            node.SetAndObserveTransformNodeID(parent.GetID())
        return node

    return make


@pytest.fixture
def a_bent_transform_node(a_scene):
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonTransforms import vtkThinPlateSplineTransform

    corners = [(0, 0, 0), (50, 0, 0), (0, 50, 0), (0, 0, 50), (50, 50, 50)]
    source, target = vtkPoints(), vtkPoints()
    for number, (x, y, z) in enumerate(corners):
        source.InsertNextPoint(x, y, z)
        target.InsertNextPoint(x + number % 2, y + number, z)
    spline = vtkThinPlateSplineTransform()
    spline.SetBasisToR()
    spline.SetSourceLandmarks(source)
    spline.SetTargetLandmarks(target)
    node = a_scene.AddNewNodeByClass("vtkMRMLTransformNode", "Warp")
    node.SetAndObserveTransformToParent(spline)
    return node


SEGMENTS = (
    Segment(
        "Left hippocampus",
        1,
        (0.9, 0.4, 0.2),
        type=Code("SCT", "4821000", "Hippocampus"),
        modifier=Code("SCT", "7771000", "Left"),
    ),
    Segment("Right hippocampus", 2, (0.2, 0.4, 0.9)),
    Segment("Absent", 7, (0.1, 0.9, 0.1)),
)


@pytest.fixture
def make_labelmap():
    """Labelmap on a volume's grid: 1 in a corner block, 2 in the opposite one, 7 nowhere."""

    def make(volume: Any, segments: tuple[Segment, ...] = SEGMENTS) -> Labelmap:
        array = np.zeros(volume.shape, np.uint8)
        array[:2, :2, :3] = 1
        array[2:, 3:, 2:] = 2
        return Labelmap(array, volume.affine, segments)

    return make


@pytest.fixture
def a_provenance() -> Provenance:
    return Provenance(
        "segment", "hippocampus", "1.2", digest="ab" * 32, citation="Doe; Roe: 'A & B', 2020", parameters={"tta": "on"}
    )


@pytest.fixture
def a_result(a_volume_node, make_labelmap, a_provenance):
    labelmap = make_labelmap(volume_from_node(a_volume_node))
    volumes = labelmap.volumes_ml()
    table = Table({"Segment": tuple(volumes), "Volume (mL)": tuple(volumes.values())}, "volumes")
    return Result((labelmap, table), a_provenance)


@pytest.fixture
def voxels_in_world():
    """World RAS of every voxel of a segment, sorted, read from the node by VTK's own methods."""

    def read(node: Any, segment_id: str) -> NDArray[np.float64]:
        from vtkmodules.vtkCommonMath import vtkMatrix4x4
        from vtkmodules.vtkCommonTransforms import vtkGeneralTransform

        segment = node.GetSegmentation().GetSegment(segment_id)
        image = segment.GetRepresentation("Binary labelmap")
        matrix = vtkMatrix4x4()
        image.GetImageToWorldMatrix(matrix)
        to_world = vtkGeneralTransform()
        slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(node.GetParentTransformNode(), None, to_world)
        i0, i1, j0, j1, k0, k1 = image.GetExtent()
        found = [
            to_world.TransformPoint(matrix.MultiplyPoint((i, j, k, 1.0))[:3])
            for k in range(k0, k1 + 1)
            for j in range(j0, j1 + 1)
            for i in range(i0, i1 + 1)
            if image.GetScalarComponentAsDouble(i, j, k, 0) == segment.GetLabelValue()
        ]
        return np.array(found).reshape(-1, 3)

    return read
