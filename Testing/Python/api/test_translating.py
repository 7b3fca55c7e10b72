"""`medai.translate`, as a person types it: through the worker, from files and from a scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import medai
from medai import files
from medai.volume import SYNTHETIC, SYNTHETIC_KEY
from small_bundles import write_bundle
from small_restorers import translator


@pytest.fixture(scope="module")
def a_translator(tmp_path_factory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("models") / "negative", translator())


def test_a_file_and_a_volume_give_the_same_marked_image(a_volume, a_translator, a_worker, tmp_path):
    files.write(a_volume, tmp_path / "scan.nrrd")
    there = medai.translate(tmp_path / "scan.nrrd", a_translator, worker=a_worker, device="cpu").volume
    here = medai.translate(a_volume, a_translator, in_process=True, device="cpu").volume
    np.testing.assert_array_equal(there.array, here.array)
    assert SYNTHETIC in there.notes
    files.write(there, tmp_path / "other.nii.gz")
    assert SYNTHETIC in files.read(tmp_path / "other.nii.gz").notes


def test_a_node_of_another_contrast_lies_beside_its_image_and_says_that_it_is_synthetic(
    a_scene, a_volume_node, a_volume, a_translator, a_worker
):
    from medai import mrml

    node = medai.translate(a_volume_node, a_translator, worker=a_worker, device="cpu")
    assert node.GetScene() is a_scene
    assert node.GetName() == "scan synthetic"
    assert node.GetAttribute(SYNTHETIC_KEY) == "yes"
    found = mrml.volume_from_node(node)
    assert found.same_grid(a_volume)
    assert SYNTHETIC in found.notes
    assert np.corrcoef(found.array.ravel(), a_volume.array.astype(float).ravel())[0, 1] < -0.999


def test_a_sequence_of_nodes_becomes_a_sequence(a_scene, a_volume_node, a_translator, a_worker):
    sequence = a_scene.AddNewNodeByClass("vtkMRMLSequenceNode", "scan")
    for frame in range(2):
        sequence.SetDataNodeAtValue(a_volume_node, str(frame))
    node = medai.translate(sequence, a_translator, worker=a_worker, device="cpu")
    assert node.GetAttribute(SYNTHETIC_KEY) == "yes"
    (made,) = [one for one in a_scene.GetNodesByClass("vtkMRMLSequenceNode") if one is not sequence]
    assert made.GetNumberOfDataNodes() == 2
