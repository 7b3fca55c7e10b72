"""`medai.classify` and `medai.explain`, from a script and in a scene."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import medai
from medai.errors import BundleError, InputError
from medai.files import write
from medai.volume import Region, Volume
from small_bundles import OBLIQUE
from small_classifiers import POINT, Classifier

SOURCE = Path(__file__).resolve().parents[3] / "SlicerMedAI"


@pytest.fixture(scope="session")
def a_classifier(tmp_path_factory) -> Path:
    """Finds what is bright in volumes."""
    return Classifier(points=[POINT]).write(tmp_path_factory.mktemp("classifiers") / "brightness")


@pytest.fixture(scope="session")
def a_classifier_of_slices(tmp_path_factory) -> Path:
    """Finds what is bright in slices."""
    return Classifier(dimensions=2).write(tmp_path_factory.mktemp("classifiers") / "flat")


@pytest.fixture
def a_scan() -> Volume:
    array = np.random.default_rng(0).integers(0, 40, (8, 12, 14)).astype(np.int16)
    array[3:6, 4:9, 5:10] = 220
    return Volume(array, OBLIQUE, "scan", "MR")


@pytest.fixture
def a_scan_node(a_scene, a_scan):
    from medai.mrml.volumes import fill_volume_node

    node = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "scan")
    fill_volume_node(node, a_scan.array, a_scan.affine)
    return node


def cells(node) -> dict[str, list[str]]:
    table = node.GetTable()
    rows = range(table.GetNumberOfRows())
    return {
        table.GetColumnName(n): [table.GetValue(row, n).ToString() for row in rows]
        for n in range(table.GetNumberOfColumns())
    }


def test_a_worker_finds_what_this_process_finds(a_worker, a_scan, a_classifier, tmp_path):
    write(a_scan, tmp_path / "scan.nrrd")
    there = medai.classify(tmp_path / "scan.nrrd", a_classifier, worker=a_worker, explain=True)
    here = medai.classify(a_scan, a_classifier, in_process=True, explain=True)
    assert there.table.columns == here.table.columns
    assert np.array_equal(there.volume.array, here.volume.array)


def test_openvino_finds_what_pytorch_finds(a_scan, a_classifier, tmp_path, monkeypatch):
    from medai.api import running

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(running, "_loaded", {})
    result = medai.classify(a_scan, a_classifier, in_process=True, device="cpu", backend="openvino")
    plain = medai.classify(a_scan, a_classifier, in_process=True, device="cpu", backend="torch")
    assert result.table.columns["Probability"] == pytest.approx(plain.table.columns["Probability"], abs=1e-4)
    assert any("OpenVINO" in note or "faster" in note for note in result.provenance.notes)


def test_nothing_that_a_panel_imports_brings_torch():
    code = "import sys, medai, medai.tasks.explain; medai.classify, medai.explain; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(SOURCE), "PATH": ""})


def test_a_wrong_choice_is_refused_before_the_image_is_read(a_classifier, tmp_path):
    with pytest.raises(InputError, match="no class called 'cat'"):
        medai.explain(tmp_path / "nothing.nii", a_classifier, target_class="cat")
    with pytest.raises(BundleError):
        medai.classify(tmp_path / "nothing.nii", tmp_path)


def test_the_table_of_a_node_stands_beside_it(a_scene, a_scan_node, a_classifier):
    tree = a_scene.GetSubjectHierarchyNode()
    item = tree.CreateItem(tree.GetSceneItemID(), a_scan_node)
    table = medai.classify(a_scan_node, a_classifier, in_process=True)
    assert table.IsA("vtkMRMLTableNode")
    assert table.GetName() == "scan probabilities"
    assert cells(table)["Class"] == ["normal", "lesion"]
    assert cells(table)["Decision"] == ["", "positive"]
    assert table.GetAttribute("MedAI.Bundle") == "brightness"
    folder = tree.GetItemParent(tree.GetItemByDataNode(table))
    assert tree.GetItemParent(folder) == tree.GetItemParent(item)


def test_a_stack_gets_a_curve_over_its_slices(a_scene, a_scan_node, a_classifier_of_slices):
    medai.classify(a_scan_node, a_classifier_of_slices, in_process=True)
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode") == 1
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLPlotSeriesNode") == 2


def test_the_map_of_a_node_lies_on_it(a_scene, a_scan_node, a_scan, a_classifier):
    import slicer
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    from medai import mrml

    node = medai.explain(a_scan_node, a_classifier, in_process=True)
    assert node.IsA("vtkMRMLScalarVolumeNode")
    assert node.GetName() == "scan lesion Grad-CAM"
    assert mrml.volume_from_node(node).same_grid(a_scan)
    array = slicer.util.arrayFromVolume(node)
    assert array.max() == 1
    assert array[4, 6, 7] > 0.5
    ours, theirs = vtkMatrix4x4(), vtkMatrix4x4()
    node.GetIJKToRASMatrix(ours)
    a_scan_node.GetIJKToRASMatrix(theirs)
    assert np.allclose([ours.GetElement(n, 3) for n in range(3)], [theirs.GetElement(n, 3) for n in range(3)])


def test_a_sequence_gets_a_table_of_its_frames_and_a_map_for_each(a_scene, a_scan, a_classifier):
    import slicer

    from medai.mrml.volumes import fill_volume_node

    sequence = a_scene.AddNewNodeByClass("vtkMRMLSequenceNode", "beats")
    sequence.SetIndexName("time")
    sequence.SetIndexUnit("s")
    for n in range(3):
        frame = slicer.vtkMRMLScalarVolumeNode()
        fill_volume_node(frame, a_scan.array if n == 1 else np.roll(a_scan.array, 1, 0) // 8, a_scan.affine)
        sequence.SetDataNodeAtValue(frame, str(n))
    table = medai.classify(sequence, a_classifier, in_process=True, explain=True)
    assert len(cells(table)["lesion"]) == 3
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLSequenceNode") == 2
    shown = medai.explain(sequence, a_classifier, in_process=True)
    assert shown.IsA("vtkMRMLScalarVolumeNode")
    assert a_scene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode") == 2


def test_a_failing_classification_leaves_the_scene_as_it_was(a_scene, a_scan_node, a_classifier):
    before = a_scene.GetNumberOfNodes()
    region = Region([900.0, 0, 0], [5.0] * 3)
    with pytest.raises(medai.MedAIError):
        medai.classify(a_scan_node, a_classifier, in_process=True, region=region)
    assert a_scene.GetNumberOfNodes() == before


def test_a_table_is_written_with_the_map_beside_it(a_scan, a_classifier, tmp_path):
    result = medai.classify(a_scan, a_classifier, in_process=True, explain="occlusion")
    files = write(result, tmp_path / "scan.csv")
    assert {file.name for file in files} == {"scan.csv", "scan_occlusion.nrrd"}
    rows = (tmp_path / "scan.csv").read_text(encoding="utf-8-sig").splitlines()
    assert rows[0] == "Class,Probability,Threshold,Decision"
    assert rows[2].startswith("lesion,0.")
