"""`medai.segment` and its companions, as a person types them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import medai
from medai import mrml
from medai.errors import BundleNotFoundError, InputError, JobCancelled, WorkerDiedError
from medai.result import Result
from medai.volume import Region, Series, Volume


def test_a_volume_gives_a_result_on_its_own_grid(a_volume, a_model, a_worker, expected):
    result = medai.segment(a_volume, a_model, worker=a_worker, device="cpu")
    assert isinstance(result, Result)
    np.testing.assert_array_equal(result.labelmap.array, expected)
    np.testing.assert_array_equal(result.labelmap.affine, a_volume.affine)
    assert result.provenance.bundle == a_model


def test_the_worker_and_this_process_give_the_same_labels(a_volume, a_model, a_worker):
    there = medai.segment(a_volume, a_model, worker=a_worker, device="cpu")
    here = medai.segment(a_volume, a_model, in_process=True, device="cpu")
    np.testing.assert_array_equal(there.labelmap.array, here.labelmap.array)
    assert there.labelmap.segments == here.labelmap.segments
    assert there.table.columns == here.table.columns


def test_a_path_is_read(a_volume, a_model, a_worker, tmp_path, expected):
    from medai import files

    path = tmp_path / "scan.nrrd"
    files.write(a_volume, path)
    for given in (path, str(path)):
        result = medai.segment(given, a_model, worker=a_worker, device="cpu")
        np.testing.assert_array_equal(result.labelmap.array, expected)


def test_a_model_may_be_a_folder(a_volume, a_folder_of_models, a_worker, expected):
    result = medai.segment(a_volume, a_folder_of_models / "threshold", worker=a_worker)
    np.testing.assert_array_equal(result.labelmap.array, expected)


def test_a_series_gives_a_result_per_frame(a_volume, a_model, a_worker, expected):
    series = Series((a_volume, a_volume, a_volume), (0, 1, 2), "s")
    result = medai.segment(series, a_model, worker=a_worker, device="cpu")
    assert len(result.frames) == 3
    np.testing.assert_array_equal(result.frames[2].labelmap.array, expected)


def test_a_region_limits_the_labels(a_volume, a_model, a_worker, expected):
    block = (slice(2, 8), slice(3, 9), slice(1, 7))
    center = (medai.Volume(a_volume.array, a_volume.affine).affine @ [3.5, 5.5, 4.5, 1])[:3]
    axes = a_volume.affine[:3, :3] / np.linalg.norm(a_volume.affine[:3, :3], axis=0)
    region = Region(center, np.array(a_volume.spacing) * 5.5, axes)
    labels = medai.segment(a_volume, a_model, worker=a_worker, region=region).labelmap.array
    np.testing.assert_array_equal(labels[block], expected[block])
    outside = labels.copy()
    outside[block] = 0
    assert not outside.any()


def test_progress_is_told_and_can_stop_the_job(a_volume, a_model, a_worker):
    reports = []
    medai.segment(a_volume, a_model, worker=a_worker, on_progress=reports.append)
    assert {"Preparing", "Segmenting"} <= {progress.stage for progress in reports}

    def stop(progress):
        raise JobCancelled("Enough.")

    with pytest.raises(JobCancelled):
        medai.segment(a_volume, a_model, worker=a_worker, on_progress=stop)


def test_an_unknown_parameter_is_refused_with_the_known_ones_before_anything_runs(a_volume, a_model):
    with pytest.raises(InputError, match="overlap") as raised:
        medai.segment(a_volume, a_model, overlapp=0.5)
    assert "'overlapp'" in str(raised.value)


@pytest.mark.parametrize("value", [None, ()])
def test_a_parameter_left_empty_means_the_default(a_volume, a_model, value):
    assert medai.prepare(a_volume, a_model, region=value).parameters == {}


def test_an_unknown_model_is_refused(a_volume, a_model):
    with pytest.raises(BundleNotFoundError, match=a_model):
        medai.segment(a_volume, "treshold")


@pytest.mark.parametrize("image", [None, 42, np.zeros((3, 3, 3)), []], ids=["nothing", "number", "array", "empty"])
def test_what_is_no_image_is_refused(a_model, image):
    with pytest.raises(InputError):
        medai.segment(image, a_model)


def test_a_series_among_several_images_is_refused(a_volume, a_model):
    with pytest.raises(InputError, match="together"):
        medai.segment([a_volume, Series((a_volume,))], a_model)


def test_a_region_that_is_none_is_refused(a_volume, a_model):
    with pytest.raises(InputError, match="ROI"):
        medai.segment(a_volume, a_model, region="left hippocampus")


def test_a_segmentation_node_without_an_image_node_is_refused(a_volume, a_model):
    with pytest.raises(InputError, match="scene"):
        medai.segment(a_volume, a_model, segmentation=object())


def test_the_models_are_listed(a_model):
    assert a_model in [model.name for model in medai.models()]


def test_a_prepared_job_is_what_segment_runs(a_volume, a_model, a_worker, expected):
    job = medai.prepare(a_volume, a_model, device="cpu", segments=["grey"])
    result = a_worker.submit(job).wait()
    np.testing.assert_array_equal(result.labelmap.array > 0, expected == 1)


def test_a_node_gets_a_segmentation_node_beside_it(a_volume_node, a_scene, a_model, a_worker, expected):
    node = medai.segment(a_volume_node, a_model, worker=a_worker, device="cpu")
    assert node.IsA("vtkMRMLSegmentationNode")
    assert node.GetScene() is a_scene
    segmentation = node.GetSegmentation()
    names = [segmentation.GetNthSegment(n).GetName() for n in range(segmentation.GetNumberOfSegments())]
    assert names == ["grey", "white"]
    assert node.GetAttribute("MedAI.Bundle") == a_model


def test_a_node_goes_to_the_worker_as_a_view_of_its_own_voxels(a_volume_node, a_model):
    (volume,) = medai.prepare(a_volume_node, a_model).inputs
    assert np.shares_memory(volume.array, mrml.volume_from_node(a_volume_node).array)


def test_an_existing_segmentation_node_is_written_into(a_volume_node, a_scene, a_model, a_worker):
    own = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    own.CreateDefaultDisplayNodes()
    node = medai.segment(a_volume_node, a_model, worker=a_worker, segmentation=own)
    assert node is own
    assert own.GetSegmentation().GetNumberOfSegments() == 2


def test_a_roi_node_is_a_region(a_volume_node, a_scene, a_model):
    roi = a_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Left")
    roi.SetCenter(1.0, 2.0, 3.0)
    roi.SetSize(10.0, 12.0, 14.0)
    region = medai.prepare(a_volume_node, a_model, region=roi).parameters["region"]
    np.testing.assert_allclose(region.size, [10, 12, 14])
    assert len(medai.prepare(a_volume_node, a_model, region=[roi, region]).parameters["region"]) == 2


def test_a_node_that_is_no_image_is_refused(a_scene, a_model):
    with pytest.raises(InputError, match="is not an image"):
        medai.segment(a_scene.AddNewNodeByClass("vtkMRMLModelNode", "skull"), a_model)


def test_the_scene_is_as_it_was_when_the_worker_dies(a_volume_node, a_scene, a_model):
    from medai.jobs import Worker

    before = [a_scene.GetNthNode(n).GetID() for n in range(a_scene.GetNumberOfNodes())]
    with Worker(preload=("a_package_nobody_has",)) as worker, pytest.raises(medai.MedAIError):
        medai.segment(a_volume_node, a_model, worker=worker)
    assert [a_scene.GetNthNode(n).GetID() for n in range(a_scene.GetNumberOfNodes())] == before


def test_the_worker_killed_during_a_real_model_gives_a_typed_error_and_the_next_call_works(
    a_volume, a_model, a_worker, expected
):
    import psutil

    def kill(progress):
        if progress.stage == "Segmenting" and a_worker.pid is not None:
            psutil.Process(a_worker.pid).kill()

    # Large enough that the model is still at work when its first report arrives.
    large = Volume(np.tile(a_volume.array, (20, 20, 20)), a_volume.affine)

    with pytest.raises(WorkerDiedError) as raised:
        medai.segment(large, a_model, worker=a_worker, on_progress=kill)
    assert raised.value.remedy
    np.testing.assert_array_equal(medai.segment(a_volume, a_model, worker=a_worker).labelmap.array, expected)


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    root = Path(medai.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


def test_importing_medai_imports_nothing_else():
    done = run_python(
        "import sys, medai\n"
        "assert set(medai.__all__) <= set(dir(medai))\n"
        "heavy = {'numpy', 'torch', 'monai', 'slicer', 'vtk', 'psutil', 'SimpleITK'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    assert done.returncode == 0, done.stderr


def test_segmenting_in_the_worker_imports_no_torch_here(a_volume, a_model, tmp_path):
    np.save(tmp_path / "scan.npy", a_volume.array)
    done = run_python(
        "import sys, numpy as np, medai\n"
        f"volume = medai.Volume(np.load({str(tmp_path / 'scan.npy')!r}), np.eye(4))\n"
        f"result = medai.segment(volume, {a_model!r})\n"
        "assert result.labelmap.array.any()\n"
        "medai.models()\n"
        "heavy = {'torch', 'monai', 'slicer', 'vtk'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", medai.__all__)
def test_every_public_name_is_there_and_documented(name):
    assert getattr(medai, name).__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = medai.no_such_name


def test_volume_is_the_same_class_everywhere():
    assert medai.Volume is Volume
