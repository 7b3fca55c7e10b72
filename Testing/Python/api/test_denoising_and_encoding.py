"""`medai.denoise` and `medai.encode`, as a person types them: through the worker, from files and from a scene."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import medai
from medai import files
from medai.errors import BundleError, InputError, JobCancelled
from medai.volume import Region, Series, Volume
from small_bundles import OBLIQUE, write_bundle
from small_restorers import autoencoder, denoiser

FLIP = {"_target_": "Orientationd", "keys": "image", "axcodes": "LPS"}


@pytest.fixture(scope="module")
def two_models(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_bundle(folder / "halver", denoiser(pre=[FLIP]))
    write_bundle(folder / "coder", autoencoder(pre=[FLIP]))
    return folder


@pytest.fixture(autouse=True)
def _only_these(two_models, monkeypatch):
    monkeypatch.setenv("MEDAI_MODELS", str(two_models))


@pytest.fixture
def halfway(a_volume):
    """What the model is known to make of the image."""
    values = a_volume.array.astype(float)
    return values - (values - (values.min() + values.max()) / 2) / 2


def test_a_denoised_volume_has_the_type_and_grid_of_its_image(a_volume, a_worker, halfway):
    result = medai.denoise(a_volume, "halver", noise=True, worker=a_worker, device="cpu")
    clean, noise = result.items[:2]
    assert clean.array.dtype == np.uint8
    assert clean.same_grid(a_volume)
    assert np.abs(clean.array - halfway).max() <= 0.501
    np.testing.assert_array_equal(clean.array + noise.array, a_volume.array)
    assert result.provenance.bundle == "halver"


def test_a_path_is_denoised(a_volume, a_worker, tmp_path):
    files.write(a_volume, tmp_path / "scan.nrrd")
    there = medai.denoise(tmp_path / "scan.nrrd", "halver", worker=a_worker, device="cpu")
    here = medai.denoise(a_volume, "halver", in_process=True, device="cpu")
    np.testing.assert_array_equal(there.volume.array, here.volume.array)


def test_what_cannot_be_chosen_is_refused_before_anything_is_read(a_volume):
    with pytest.raises(InputError, match="strength"):
        medai.denoise(a_volume, "halver", strength=2)
    with pytest.raises(InputError, match="'tta' cannot be chosen"):
        medai.denoise(a_volume, "halver", tta=True)
    with pytest.raises(BundleError, match="not for encoding"):
        medai.encode(a_volume, "halver")
    with pytest.raises(InputError, match="PyTorch"):
        medai.encode(a_volume, "coder", backend="openvino")


def test_cancelling_takes_less_than_a_second(a_volume, a_worker, two_models):
    image = Volume(np.random.default_rng(0).random((160, 160, 160), np.float32), np.eye(4), "large")
    asked = []

    def cancel(progress):
        if progress.stage == "Denoising":
            asked.append(time.monotonic())
            raise JobCancelled("The job was cancelled.")

    with pytest.raises(JobCancelled):
        medai.denoise(image, "halver", worker=a_worker, on_progress=cancel, device="cpu", backend="torch")
    assert time.monotonic() - asked[0] < 1
    assert medai.denoise(a_volume, "halver", worker=a_worker).volume.same_grid(a_volume)


def test_a_denoised_node_lies_beside_its_image(a_scene, a_volume_node, a_volume, a_worker, halfway):
    from medai import mrml

    node = medai.denoise(a_volume_node, "halver", noise=True, worker=a_worker, device="cpu")
    assert node.IsA("vtkMRMLScalarVolumeNode")
    assert node.GetName() == "scan denoised"
    assert node.GetScene() is a_scene
    found = mrml.volume_from_node(node)
    assert found.array.dtype == np.uint8
    assert found.same_grid(a_volume)
    assert np.abs(found.array - halfway).max() <= 0.501
    assert node.GetAttribute("MedAI.Task") == "denoise"
    noise = mrml.volume_from_node(a_scene.GetFirstNodeByName("scan noise"))
    np.testing.assert_array_equal(found.array + noise.array, a_volume.array)
    assert a_scene.GetFirstNodeByName("scan noise").GetImageData().GetScalarTypeAsString() == "float"


def test_a_region_node_limits_what_is_denoised(a_scene, a_volume_node, a_volume, a_worker):
    from medai import mrml
    from medai.mrml.regions import fill_roi_node

    region = Region((OBLIQUE @ [5, 6, 5, 1])[:3], [5.0, 6.0, 8.0])
    roi = a_scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "box")
    fill_roi_node(roi, region, np.eye(4))
    node = medai.denoise(a_volume_node, "halver", region=roi, worker=a_worker, device="cpu")
    changed = mrml.volume_from_node(node).array != a_volume.array
    block = region.slices(a_volume)
    assert changed.any()
    changed[block] = False
    assert not changed.any()


def test_a_sequence_of_nodes_becomes_a_sequence(a_scene, a_volume_node, a_volume, a_worker):
    from medai import mrml

    sequence = a_scene.AddNewNodeByClass("vtkMRMLSequenceNode", "scan")
    for frame in range(3):
        sequence.SetDataNodeAtValue(a_volume_node, str(frame))
    node = medai.denoise(sequence, "halver", worker=a_worker, device="cpu")
    assert node.IsA("vtkMRMLScalarVolumeNode")
    assert mrml.volume_from_node(node).array.dtype == np.uint8
    (made,) = [one for one in a_scene.GetNodesByClass("vtkMRMLSequenceNode") if one is not sequence]
    assert made.GetNumberOfDataNodes() == 3


@pytest.fixture
def a_cohort(a_volume) -> list[Volume]:
    """Of several sizes."""
    return [Volume(a_volume.array[: 6 + n, : 10 + n].copy(), OBLIQUE, f"case {n}", "MR") for n in range(3)]


def test_a_cohort_becomes_one_array_and_one_table(a_cohort, a_worker):
    heard = []
    result = medai.encode(a_cohort, "coder", worker=a_worker, on_progress=heard.append, device="cpu")
    assert result.codes.array.shape == (3, 12)
    assert result.codes.array.dtype == np.float32
    assert result.codes.cases == ("case 0", "case 1", "case 2")
    columns = result.table.columns
    assert list(columns)[:4] == ["Image", "Compression", "PSNR (dB)", "SSIM"]
    assert columns["mean 0"] == tuple(map(float, result.codes.array[:, 0]))
    assert all(len(values) == 3 for values in columns.values())
    assert len(result.codes.latents) == 3
    assert {progress.total for progress in heard} == {3}
    assert [p.done for p in heard] == sorted(p.done for p in heard)
    assert heard[-1].done == 3
    for number, image in enumerate(a_cohort):
        alone = medai.encode(image, "coder", worker=a_worker, device="cpu")
        np.testing.assert_array_equal(alone.codes.array[0], result.codes.array[number])
    assert len(result.provenance.inputs) == 3


def test_volumes_of_a_cohort_are_in_its_frames(a_cohort, a_worker):
    result = medai.encode(a_cohort, "coder", reconstruct=True, anomaly=True, worker=a_worker, device="cpu")
    assert [frame.volume.name for frame in result.frames] == [f"case {n} reconstruction" for n in range(3)]
    for frame, image in zip(result.frames, a_cohort, strict=True):
        assert frame.volume.same_grid(image)


def test_codes_of_a_cohort_are_files_for_people_and_programs(a_cohort, a_worker, tmp_path):
    result = medai.encode(a_cohort, "coder", anomaly=True, worker=a_worker, device="cpu")
    for ending in ("csv", "json", "npz", "npy"):
        path, *_ = files.write(result, tmp_path / f"codes.{ending}")
        assert path.name == f"codes.{ending}"
    assert len(list(tmp_path.glob("codes_*_anomaly.nrrd"))) == 3
    with np.load(tmp_path / "codes.npz", allow_pickle=False) as saved:
        np.testing.assert_array_equal(saved["codes"], result.codes.array)
        assert list(saved["cases"]) == list(result.codes.cases)
        assert list(saved["features"]) == list(result.codes.features)
        np.testing.assert_array_equal(saved["latent_002"], result.codes.latents[2])
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy", allow_pickle=False), result.codes.array)
    assert len((tmp_path / "codes.csv").read_text(encoding="utf-8-sig").splitlines()) == 4


def test_nodes_become_a_table_node_and_volumes_beside_them(a_scene, a_volume_node, a_worker):
    from medai.mrml.volumes import fill_volume_node

    other = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "other")
    fill_volume_node(other, np.random.default_rng(0).random((6, 9, 8)), OBLIQUE)
    table = medai.encode([a_volume_node, other], "coder", anomaly=True, worker=a_worker, device="cpu")
    assert table.IsA("vtkMRMLTableNode")
    assert table.GetNumberOfRows() == 2
    assert table.GetCellText(1, 0) == "other"
    for name in ("scan anomaly", "other anomaly"):
        assert a_scene.GetFirstNodeByName(name).IsA("vtkMRMLScalarVolumeNode")
    assert table.GetAttribute("MedAI.Task") == "encode"
    one = medai.encode(a_volume_node, "coder", worker=a_worker, device="cpu")
    assert one.GetNumberOfRows() == 1


def test_a_series_has_a_row_per_frame(a_volume, a_worker):
    result = medai.encode(Series((a_volume, a_volume)), "coder", worker=a_worker, device="cpu")
    assert result.codes.array.shape == (2, 12)
    assert len(result.frames) == 2


def test_an_empty_cohort_is_refused():
    with pytest.raises(InputError, match="no image to encode"):
        medai.encode([], "coder")


def test_nothing_of_it_imports_torch():
    code = (
        "import sys, medai; medai.denoise, medai.encode; import medai.tasks.denoise, medai.tasks.encode; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
