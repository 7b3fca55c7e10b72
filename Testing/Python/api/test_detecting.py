"""`medai.detect`, from a script and in a scene."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import medai
from medai.errors import InputError
from medai.files import write
from medai.result import Boxes
from medai.volume import Region, Volume
from small_bundles import OBLIQUE
from small_detectors import CELL, Spots


@pytest.fixture
def a_detector(tmp_path) -> Path:
    """Finds bright cells."""
    return Spots(axcodes="").write(tmp_path / "spots")


@pytest.fixture
def a_scan() -> Volume:
    array = np.zeros((16, 20, 24), np.float32)
    array[4:8, 12:16, 8:12] = 100
    array[8:12, 4:8, 16:20] = 70
    return Volume(array, OBLIQUE, "scan", "MR")


@pytest.fixture
def a_scan_node(a_scene, a_scan):
    from medai.mrml.volumes import fill_volume_node

    node = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "scan")
    fill_volume_node(node, a_scan.array, a_scan.affine)
    return node


def test_a_worker_finds_what_this_process_finds(a_scan, a_detector, tmp_path):
    from medai.jobs import Worker

    write(a_scan, tmp_path / "scan.nrrd")
    with Worker() as worker:  # begun now, so that it knows whom to trust
        there = medai.detect(tmp_path / "scan.nrrd", a_detector, worker=worker).boxes
    here = medai.detect(a_scan, a_detector, in_process=True).boxes
    np.testing.assert_allclose(there.scores, here.scores, atol=1e-6)
    np.testing.assert_allclose([r.center for r in there.regions], [r.center for r in here.regions], atol=1e-3)
    assert there.classes == here.classes == ("spot", "spot")


def test_a_node_gets_rois_and_a_table_beside_it(a_scene, a_scan_node, a_scan, a_detector):
    from medai import mrml

    rois = medai.detect(a_scan_node, a_detector, in_process=True)
    expected = medai.detect(a_scan, a_detector, in_process=True).boxes
    assert [roi.GetAttribute("MedAI.Class") for roi in rois] == ["spot", "spot"]
    for roi, region, score in zip(rois, expected.regions, expected.scores, strict=True):
        found = mrml.region_from_node(roi)
        np.testing.assert_allclose(np.sort(found.corners, axis=0), np.sort(region.corners, axis=0), atol=1e-3)
        assert float(roi.GetAttribute("MedAI.Score")) == pytest.approx(score, abs=1e-6)
        assert roi.GetAttribute("MedAI.Bundle") == "spots"
    (table,) = a_scene.GetNodesByClass("vtkMRMLTableNode")
    assert table.GetTable().GetNumberOfRows() == 2
    assert table.GetName() == "scan findings"


def test_a_roi_node_says_where_to_look(a_scene, a_scan_node, a_detector):
    roi = a_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "here")
    roi.SetCenter(*(OBLIQUE @ [18, 6, 10, 1])[:3])
    roi.SetSize(8, 8, 12)
    assert len(medai.detect(a_scan_node, a_detector, region=roi, in_process=True)) == 1


def test_nothing_enters_the_scene_when_nothing_was_found(a_scene, a_scan_node, a_detector):
    assert medai.detect(a_scan_node, a_detector, threshold=0.999, in_process=True) == []


def test_a_wrong_parameter_is_told_with_those_there_are(a_scan, a_detector):
    with pytest.raises(InputError, match="'confidence' cannot be chosen") as refused:
        medai.detect(a_scan, a_detector, confidence=0.4)
    assert "threshold" in refused.value.why


def test_slicer_opens_the_boxes_that_were_written(a_scene, a_scan, a_detector, tmp_path):
    import slicer

    from medai import mrml

    result = medai.detect(a_scan, a_detector, in_process=True)
    (path,) = write(result, tmp_path / "scan.mrk.json")
    for number, region in enumerate(result.boxes.regions):
        storage = slicer.vtkMRMLMarkupsROIJsonStorageNode()
        a_scene.AddNode(storage)
        node = storage.AddNewMarkupsNodeFromFile(str(path), None, number)
        np.testing.assert_allclose(
            np.sort(mrml.region_from_node(node).corners, axis=0), np.sort(region.corners, axis=0), atol=1e-3
        )
        assert node.GetName().startswith("spot ")
    told = json.loads(path.read_text(encoding="utf-8"))["medai"]["provenance"]
    assert told["MedAI.Task"] == "detect"


def test_boxes_of_a_left_handed_image_are_written_right_handed(tmp_path):
    axes = np.diag([-1.0, 1.0, 1.0])
    boxes = Boxes((Region([1, 2, 3], [CELL, 5, 6], axes),), (0.9,), ("spot",))
    (path,) = write(boxes, tmp_path / "one.mrk.json")
    (markup,) = json.loads(path.read_text(encoding="utf-8"))["markups"]
    assert markup["center"] == [-1, -2, 3]
    assert np.linalg.det(np.reshape(markup["orientation"], (3, 3))) == pytest.approx(1)
