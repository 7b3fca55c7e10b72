"""The whole segmentation task, from a Job to a Result, with models whose right answer is known."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from datetime import datetime, timezone

import numpy as np
import pytest

from medai.bundles import integrity
from medai.engine.loaded import LoadedModels
from medai.errors import (
    BundleError,
    BundleFormatError,
    BundleTamperedError,
    GeometryError,
    InputError,
    JobCancelled,
    OutOfMemoryError,
)
from medai.jobs.job import Job
from medai.progress import Progress, ignore
from medai.result import Labelmap, Table
from medai.tasks import run
from medai.volume import Region, Series, Volume, apply_affine, crop
from small_bundles import OBLIQUE, RECIPES, images_for


@pytest.fixture
def loaded():
    return LoadedModels()


@pytest.fixture
def a_scan():
    array = np.random.default_rng(3).integers(0, 256, (11, 14, 12)).astype(np.uint8)
    return Volume(array, OBLIQUE, "scan", "MR", "vtkMRMLScalarVolumeNode1")


def _expected(array):
    return (array > 100).astype(np.uint8) + (array > 200)


def _run(root, inputs, loaded, report=ignore, **parameters):
    inputs = inputs if isinstance(inputs, (tuple, Series)) else (inputs,)
    return run(Job("segment", root, inputs, {"device": "cpu", **parameters}), report, loaded)


def test_a_segmentation_lies_exactly_on_the_inputs_grid(a_bundle, a_scan, loaded):
    result = _run(a_bundle(), a_scan, loaded)
    labelmap = result.labelmap
    np.testing.assert_array_equal(labelmap.array, _expected(a_scan.array))
    np.testing.assert_array_equal(labelmap.affine, a_scan.affine)
    assert labelmap.array.dtype == np.uint8
    assert [(s.name, s.value) for s in labelmap.segments] == [("grey", 1), ("white", 2)]
    assert [type(item) for item in result.items] == [Labelmap, Table]


def test_the_table_counts_voxels_and_millilitres(a_bundle, a_scan, loaded):
    table = _run(a_bundle(), a_scan, loaded).table
    expected = _expected(a_scan.array)
    assert table.name == "volumes"
    assert table.columns["Segment"] == ("grey", "white")
    assert table.columns["Voxels"] == (int((expected == 1).sum()), int((expected == 2).sum()))
    np.testing.assert_allclose(
        table.columns["Volume (mL)"], np.array(table.columns["Voxels"]) * abs(np.linalg.det(OBLIQUE[:3, :3])) / 1000
    )


def test_provenance_is_enough_to_repeat_and_to_cite(a_bundle, a_scan, loaded):
    root = a_bundle()
    before = datetime.now(timezone.utc).replace(microsecond=0)
    provenance = _run(root, a_scan, loaded, overlap=0.5).provenance
    assert (provenance.task, provenance.bundle, provenance.version) == ("segment", "threshold", "0.0.1")
    assert provenance.digest == integrity.digest(root)
    assert provenance.parameters == {"device": "cpu", "overlap": "0.5"}
    assert (provenance.device, provenance.device_reason) == ("cpu", "CPU: chosen by you")
    assert provenance.inputs == ("scan (vtkMRMLScalarVolumeNode1)",)
    assert before <= datetime.fromisoformat(provenance.started) <= datetime.now(timezone.utc)
    assert 0 < provenance.duration_s < 60
    assert all(name in provenance.software for name in ("medai", "monai", "torch"))
    assert "Nobody" in provenance.citation


def test_a_result_survives_the_way_to_another_process(a_bundle, a_scan, loaded):
    result = pickle.loads(pickle.dumps(_run(a_bundle(), a_scan, loaded)))
    np.testing.assert_array_equal(result.labelmap.array, _expected(a_scan.array))


def test_progress_counts_every_window_and_ends_at_the_last(a_bundle, loaded):
    scan = Volume(np.random.default_rng(0).integers(0, 256, (16, 16, 16)).astype(np.uint8), np.eye(4))
    seen = []
    _run(a_bundle(), scan, loaded, seen.append, overlap=0.0)
    windows = [p for p in seen if p.stage == "Segmenting" and p.total == 8]
    assert windows
    fractions = [p.fraction for p in seen if p.stage in ("Segmenting", "Finishing") and p.fraction is not None]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert [p.elapsed_s for p in seen] == sorted(p.elapsed_s for p in seen)
    assert any("CPU" in p.note for p in seen)
    assert seen[0].stage == "Preparing"


@pytest.mark.parametrize("stage", ["Preparing", "Loading model", "Segmenting", "Finishing"])
def test_cancel_in_any_stage_ends_the_job_and_the_next_one_works(stage, a_bundle, a_scan, loaded):
    root = a_bundle()

    def cancel(progress):
        if progress.stage == stage and not progress.note:
            raise JobCancelled("The job was cancelled.")

    with pytest.raises(JobCancelled):
        _run(root, a_scan, loaded, cancel)
    np.testing.assert_array_equal(_run(root, a_scan, loaded).labelmap.array, _expected(a_scan.array))


def test_overlapping_structures_come_in_layers(a_bundle, a_scan, loaded):
    labelmap = _run(a_bundle("overlapping_thresholds"), a_scan, loaded).labelmap
    assert [(s.name, s.value, s.layer) for s in labelmap.segments] == [("whole", 1, 0), ("core", 1, 1)]
    np.testing.assert_array_equal(labelmap.mask(labelmap.segments[0]), a_scan.array > 100)
    np.testing.assert_array_equal(labelmap.mask(labelmap.segments[1]), a_scan.array > 200)


def test_segments_can_be_chosen_by_name(a_bundle, a_scan, loaded):
    result = _run(a_bundle(), a_scan, loaded, segments=("White",))
    assert [s.name for s in result.labelmap.segments] == ["white"]
    np.testing.assert_array_equal(result.labelmap.array, np.where(a_scan.array > 200, 2, 0))
    assert result.table.columns["Segment"] == ("white",)


def test_an_unknown_segment_is_refused_with_those_that_exist(a_bundle, a_scan, loaded):
    with pytest.raises(InputError, match=r"'liver'.*grey, white"):
        _run(a_bundle(), a_scan, loaded, segments=("liver",))
    assert len(loaded) == 0, "the model is not even loaded"


def test_a_region_limits_the_segmentation_to_its_box(a_bundle, a_scan, loaded):
    turn = np.linalg.qr(np.array([[1.0, 0.2, 0.1], [0.3, 1.0, -0.2], [0.0, 0.4, 1.0]]))[0]
    region = Region(apply_affine(OBLIQUE, np.array([[5.0, 7.0, 5.0]]))[0], [6, 7, 12], turn)
    labelmap = _run(a_bundle(), a_scan, loaded, region=region).labelmap
    k, j, i = np.meshgrid(*(np.arange(n) for n in a_scan.shape), indexing="ij")
    points = apply_affine(OBLIQUE, np.column_stack([i.ravel(), j.ravel(), k.ravel()]).astype(float))
    in_box = region.contains(points).reshape(a_scan.shape)
    assert 0 < in_box.sum() < in_box.size
    np.testing.assert_array_equal(labelmap.array, np.where(in_box, _expected(a_scan.array), 0))
    np.testing.assert_array_equal(labelmap.affine, a_scan.affine)


def test_several_regions_have_segments_of_their_own(a_bundle, loaded):
    scan = Volume(np.random.default_rng(0).integers(0, 256, (8, 8, 20)).astype(np.uint8), np.eye(4))
    regions = (Region([3.5, 3.5, 3.5], [7, 7, 7], name="Left"), Region([15.5, 3.5, 3.5], [7, 7, 7], name="Right"))
    result = _run(a_bundle(), scan, loaded, region=regions, segments=("white", "Left grey"))
    assert [s.name for s in result.labelmap.segments] == ["Left grey", "Left white", "Right white"]
    left, right = scan.array[..., :8], scan.array[..., 12:]
    voxels = dict(zip(result.table.columns["Segment"], result.table.columns["Voxels"], strict=True))
    assert voxels["Left grey"] == ((left > 100) & (left <= 200)).sum()
    assert voxels["Right white"] == (right > 200).sum()
    assert not result.labelmap.array[..., 8:12].any()
    assert "Left center" in result.provenance.parameters["region"]


def test_a_region_outside_the_image_is_refused(a_bundle, a_scan, loaded):
    with pytest.raises(GeometryError, match="outside"):
        _run(a_bundle(), a_scan, loaded, region=Region([999, 0, 0], [5, 5, 5]))


def test_a_series_gives_one_result_per_frame_and_a_table_over_all(a_bundle, loaded):
    rng = np.random.default_rng(0)
    frames = tuple(
        Volume(rng.integers(0, 256, (8, 9 + n, 10)).astype(np.uint8), OBLIQUE, f"frame {n}") for n in range(3)
    )
    seen = []
    result = _run(a_bundle(), Series(frames, (0.0, 0.5, 1.5), "s", "cine"), loaded, seen.append)
    assert len(result.frames) == 3
    for frame, found in zip(frames, result.frames, strict=True):
        np.testing.assert_array_equal(found.labelmap.array, _expected(frame.array))
    assert result.table.columns["Frame (s)"] == (0.0, 0.5, 1.5)
    assert result.table.columns["white (mL)"] == tuple(f.labelmap.volumes_ml()["white"] for f in result.frames)
    fractions = [p.fraction for p in seen if p.stage in ("Segmenting", "Finishing") and p.fraction is not None]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


def test_a_model_of_slices_takes_a_volume_slice_by_slice_and_says_so(a_bundle, a_scan, loaded):
    result = _run(a_bundle("plane_threshold"), a_scan, loaded)
    np.testing.assert_array_equal(result.labelmap.array, a_scan.array > 100)
    assert any("one by one" in note for note in result.provenance.notes)


def test_one_slice_suits_a_model_of_slices(a_bundle, loaded):
    scan = Volume(np.random.default_rng(0).integers(0, 256, (1, 14, 12)).astype(np.uint8), OBLIQUE)
    result = _run(a_bundle("plane_threshold"), scan, loaded)
    np.testing.assert_array_equal(result.labelmap.array, scan.array > 100)
    assert not any("one by one" in note for note in result.provenance.notes)


def test_changes_to_the_input_are_told_and_kept_in_the_provenance(a_bundle, loaded):
    array = np.random.default_rng(0).random((8, 8, 8)) * 255
    array[0, 0, 0] = np.nan
    seen = []
    result = _run(a_bundle(), Volume(array, OBLIQUE, "scan"), loaded, seen.append)
    (note,) = (note for note in result.provenance.notes if "not a number" in note)
    assert note in [progress.note for progress in seen]


def test_warnings_of_the_models_description_become_notes(a_bundle, loaded, a_scan):
    from dataclasses import replace

    root = a_bundle()
    path = root / "configs" / "metadata.json"
    path.write_text(path.read_text().replace('"type": "image"', '"type": "image", "modality": "CT"', 1))
    result = _run(root, replace(a_scan, modality="MR"), loaded)
    assert any("computed tomography" in note for note in result.provenance.notes)


@pytest.mark.parametrize(
    "parameters",
    [
        {"device": 3},
        {"region": "ROI"},
        {"region": (None,)},
        {"segments": ()},
        {"segments": (1,)},
        {"overlap": 1.0},
        {"overlap": -0.1},
        {"overlap": "half"},
        {"overlap": True},
        {"sw_batch_size": 0},
        {"sw_batch_size": 1.5},
        {"roi": None},
    ],
)
def test_wrong_parameters_are_refused_by_name(parameters, a_bundle, a_scan, loaded):
    (name,) = parameters
    with pytest.raises(InputError, match=name):
        _run(a_bundle(), a_scan, loaded, **parameters)


def test_an_unknown_task_is_refused(a_bundle, a_scan, loaded):
    with pytest.raises(InputError, match="'paint' is not a task"):
        run(Job("paint", a_bundle(), (a_scan,)), ignore, loaded)


@pytest.mark.parametrize("shape", [(1, 1, 1), (4, 5, 6)])
def test_an_image_without_contrast_is_refused(shape, a_bundle, loaded):
    with pytest.raises(InputError, match="nothing to see"):
        _run(a_bundle(), Volume(np.zeros(shape, np.uint8), OBLIQUE), loaded)


def test_two_images_for_a_model_of_one_are_refused(a_bundle, a_scan, loaded):
    with pytest.raises(InputError, match="needs 1 image"):
        _run(a_bundle(), (a_scan, a_scan), loaded)


def test_no_image_is_refused(a_bundle, loaded):
    with pytest.raises(InputError, match="No image"):
        _run(a_bundle(), (), loaded)


def test_a_tampered_model_is_refused(a_bundle, a_scan, loaded):
    root = a_bundle()
    integrity.write_pins(root)
    path = root / "models" / "model.pt"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(BundleTamperedError):
        _run(root, a_scan, loaded)


def test_a_model_without_metadata_is_refused(a_bundle, a_scan, loaded):
    root = a_bundle()
    (root / "configs" / "metadata.json").unlink()
    with pytest.raises(BundleFormatError):
        _run(root, a_scan, loaded)


def _full_when(condition):
    def hook(_module, inputs):
        if condition(inputs[0]):
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB")

    return hook


def test_windows_go_one_by_one_when_memory_runs_out_and_it_is_said(a_bundle, a_scan, loaded):
    root = a_bundle()
    network = loaded.get(root, "cpu").network
    network.register_forward_pre_hook(_full_when(lambda batch: len(batch) > 1))
    result = _run(root, a_scan, loaded)
    np.testing.assert_array_equal(result.labelmap.array, _expected(a_scan.array))
    assert any("one window at a time" in note for note in result.provenance.notes)


def test_memory_that_runs_out_for_good_is_a_clear_error_and_the_next_job_works(a_bundle, a_scan, loaded):
    root = a_bundle()
    network = loaded.get(root, "cpu").network
    hook = network.register_forward_pre_hook(_full_when(lambda batch: True))
    with pytest.raises(OutOfMemoryError, match="region"):
        _run(root, a_scan, loaded)
    hook.remove()
    np.testing.assert_array_equal(_run(root, a_scan, loaded).labelmap.array, _expected(a_scan.array))


def test_a_region_of_a_model_for_whole_images_gives_what_the_whole_image_gives_there(a_bundle, loaded):
    """Normalisation and context are the whole image's; only the windows that the region touches are computed."""
    voxels = images_for(replace(RECIPES["spacing_orientation"], shapes=((24, 50, 46),)))[0].array
    turn = np.array([[np.cos(0.3), -np.sin(0.3), 0], [np.sin(0.3), np.cos(0.3), 0], [0, 0, -1]])  # oblique, flipped
    affine = np.eye(4)
    affine[:3, :3] = turn * [0.9, 1.1, 2.3]
    scan = Volume(voxels, affine, "scan", "MR")
    root = a_bundle("spacing_orientation")
    heard_of_all: list[Progress] = []
    heard: list[Progress] = []
    whole = _run(root, scan, loaded, heard_of_all.append).labelmap.array
    region = Region(apply_affine(scan.affine, np.array([[4.0, 5.0, 4.0]]))[0], [5.0, 5.0, 8.0])
    found = _run(root, scan, loaded, heard.append, region=region).labelmap.array
    k, j, i = np.indices(scan.shape).reshape(3, -1)
    inside = region.contains(apply_affine(scan.affine, np.stack([i, j, k], axis=1).astype(float))).reshape(scan.shape)
    assert inside.sum() > 20
    np.testing.assert_array_equal(found[inside], whole[inside])
    assert not found[~inside].any()
    assert 0 < max(p.total for p in heard) < max(p.total for p in heard_of_all)


def test_a_region_of_a_model_made_for_crops_is_all_that_it_sees(a_bundle, loaded):
    scan = images_for(RECIPES["spacing_orientation"])[0]
    root = a_bundle("spacing_orientation")
    path = root / "configs" / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"medai": {"expects": {"extent_mm": [4, 12]}}}))
    region = Region(apply_affine(scan.affine, np.array([[9.0, 11.0, 7.0]]))[0], [12.0, 12.0, 12.0])
    part = crop(scan, region.slices(scan))
    alone = _run(root, part, loaded).labelmap.array
    found = _run(root, scan, loaded, region=region).labelmap.array[region.slices(scan)]
    k, j, i = np.indices(part.shape).reshape(3, -1)
    inside = region.contains(apply_affine(part.affine, np.stack([i, j, k], axis=1).astype(float))).reshape(part.shape)
    np.testing.assert_array_equal(found[inside], alone[inside])


def test_a_network_that_gives_no_numbers_is_an_error_and_not_an_empty_result(a_bundle, a_scan, loaded):
    for recipe in ("threshold", "overlapping_thresholds"):  # in windows, and in one piece
        root = a_bundle(recipe)
        network = loaded.get(root, "cpu").network
        network.weight.data[1] = float("nan")
        with pytest.raises(BundleError, match="no valid values"):
            _run(root, a_scan, loaded)


def test_notes_are_told_in_the_stage_in_which_they_arise(a_bundle, a_scan, loaded):
    heard: list[Progress] = []
    _run(a_bundle("saving_resamples"), images_for(RECIPES["saving_resamples"])[0], loaded, heard.append)
    stages = [progress.stage for progress in heard]
    assert stages.index("Segmenting") > max(n for n, stage in enumerate(stages) if stage == "Preparing")
