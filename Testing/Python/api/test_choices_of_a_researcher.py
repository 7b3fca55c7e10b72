"""`medai.segment` in scripts: several DICOM series, numbers out of arrays, wrong names, forked pools."""

from __future__ import annotations

import multiprocessing
import os

import numpy as np
import pytest
import SimpleITK as sitk
import torch

import medai
from medai.errors import BundleFormatError, BundleNotFoundError, InputError, JobError
from medai.jobs import Worker, default_worker
from medai.volume import Volume


@pytest.fixture
def a_folder_of_two_series(tmp_path):
    """Two DICOM series of 4 slices; all voxels of the second are 7 higher than those of the first."""
    for number in (1, 2):
        for k in range(4):
            pixels = np.arange(30, dtype=np.int16).reshape(5, 6) + 30 * k + 7 * (number - 1)
            image = sitk.GetImageFromArray(pixels[np.newaxis])
            image.SetSpacing((1.0, 1.0, 2.0))
            tags = {
                "0008|0016": "1.2.840.10008.5.1.4.1.1.4",
                "0008|0060": "MR",
                "0008|103e": f"series {number}",
                "0020|000d": "1.2.3",
                "0020|000e": f"1.2.3.{number}",
                "0020|0011": str(number),
                "0020|0013": str(k + 1),
                "0020|0032": f"0\\0\\{2 * k}",
                "0020|0037": "1\\0\\0\\0\\1\\0",
            }
            for tag, value in tags.items():
                image.SetMetaData(tag, value)
            writer = sitk.ImageFileWriter()
            writer.KeepOriginalImageUIDOn()
            writer.SetFileName(str(tmp_path / f"{number}_{k}.dcm"))
            writer.Execute(image)
    return tmp_path


def test_one_of_several_dicom_series_is_chosen(a_folder_of_two_series, a_model):
    with pytest.raises(InputError, match="2 series"):
        medai.prepare(a_folder_of_two_series, a_model)
    first, second = (
        medai.prepare(a_folder_of_two_series, a_model, series=choice).inputs[0].array for choice in ("series 1", 2)
    )
    np.testing.assert_array_equal(second, first + 7)


def test_a_device_may_be_given_as_torch_has_it(a_volume, a_model):
    result = medai.segment(a_volume, a_model, device=torch.device("cpu"), in_process=True)
    assert result.provenance.parameters["device"] == "cpu"
    with pytest.raises(InputError, match="such as 'auto', 'cpu'"):
        medai.segment(a_volume, a_model, device=0, in_process=True)


def test_a_series_cannot_be_chosen_of_an_image_in_memory(a_volume, a_model):
    with pytest.raises(InputError, match="no series"):
        medai.prepare(a_volume, a_model, series=1)


def test_a_path_may_begin_at_home(a_volume, a_model, tmp_path, monkeypatch):
    from medai import files

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    files.write(a_volume, tmp_path / "scan.nrrd")
    np.testing.assert_array_equal(medai.prepare("~/scan.nrrd", a_model).inputs[0].array, a_volume.array)


def test_numbers_and_names_out_of_arrays_are_taken(a_volume, a_model):
    names = ["grey", "white"]
    job = medai.prepare(
        a_volume, a_model, overlap=np.float32(0.5), sw_batch_size=np.int64(2), segments=(name for name in names)
    )
    assert job.parameters == {"overlap": 0.5, "sw_batch_size": 2, "segments": tuple(names)}
    assert [type(job.parameters[key]) for key in ("overlap", "sw_batch_size")] == [float, int]


@pytest.mark.parametrize("segments", [(), 7, iter(()), ("Label", 3)])
def test_segments_that_are_no_names_are_refused(a_volume, a_model, segments):
    with pytest.raises(InputError, match="segments"):
        medai.prepare(a_volume, a_model, segments=segments)


def test_what_the_model_does_not_know_is_refused_before_a_worker_starts(a_volume, a_model):
    idle = Worker()
    with pytest.raises(InputError, match="no segment called 'Spleen'"):
        medai.segment(a_volume, a_model, worker=idle, segments=["Spleen"])
    with pytest.raises(BundleFormatError, match="cannot find its region"):
        medai.segment(a_volume, a_model, worker=idle, region="auto")
    assert idle.pid is None


def test_only_a_segmentation_node_is_written_into(a_volume_node, a_scene, a_model):
    idle = Worker()
    before = a_scene.GetNumberOfNodes()
    for wrong in (a_volume_node, "segmentation"):
        with pytest.raises(InputError, match="not a segmentation node"):
            medai.segment(a_volume_node, a_model, worker=idle, segmentation=wrong)
    assert (idle.pid, a_scene.GetNumberOfNodes()) == (None, before)


def segment_in_a_fork(volume: Volume, model: str) -> tuple[np.ndarray, int | None]:
    return medai.segment(volume, model, device="cpu").labelmap.array, default_worker().pid


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork")
def test_every_forked_process_gets_a_worker_of_its_own(a_volume, a_model, expected):
    _, own = segment_in_a_fork(a_volume, a_model)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        outcomes = pool.starmap_async(segment_in_a_fork, [(a_volume, a_model)] * 3, chunksize=1).get(timeout=120)
    for labels, pid in outcomes:
        np.testing.assert_array_equal(labels, expected)
        assert pid != own
    labels, pid = segment_in_a_fork(a_volume, a_model)
    np.testing.assert_array_equal(labels, expected)
    assert pid == own


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_worker_serves_only_the_process_that_made_it(a_volume, a_model, a_worker):
    job = medai.prepare(a_volume, a_model)
    child = os.fork()
    if child == 0:
        try:
            a_worker.submit(job)
        except JobError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_several_models_vote_and_their_disagreement_becomes_a_volume_node(a_scene, a_volume_node, a_model, a_worker):
    segmentation = medai.segment(a_volume_node, [a_model, a_model], worker=a_worker, device="cpu")
    assert segmentation.IsA("vtkMRMLSegmentationNode")
    names = [node.GetName() for node in a_scene.GetNodesByClass("vtkMRMLScalarVolumeNode")]
    assert "scan uncertainty" in names


def test_one_of_several_models_that_does_not_exist_is_told_before_anything_is_read(a_volume, a_model):
    with pytest.raises(BundleNotFoundError, match="nowhere"):
        medai.prepare(a_volume, [a_model, "nowhere"])
