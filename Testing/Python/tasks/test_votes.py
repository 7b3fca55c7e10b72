"""Mirrors and models that vote, and the uncertainty that comes of it."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from medai.bundles.mirroring import mirror_axes
from medai.engine.loaded import LoadedModels
from medai.errors import BundleError, InputError
from medai.jobs.job import Job
from medai.progress import ignore
from medai.tasks import run
from medai.volume import Series, Volume
from small_bundles import OBLIQUE, RECIPES, images_for


@pytest.fixture
def loaded():
    return LoadedModels()


@pytest.fixture
def a_scan():
    return images_for(RECIPES["spacing_orientation"])[0]


def _flips(*axes):
    """A training that flips images along these axes, for the bundle's metadata."""
    return {"medai": {"mirror_axes": list(axes)}}


@pytest.fixture
def a_flipped_bundle(a_bundle):
    """A bundle whose training has flipped images along all axes, or along those given."""

    def write(recipe="threshold", axes=(0, 1, 2), **changes):
        root = a_bundle(recipe, **changes)
        path = root / "configs" / "metadata.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | _flips(*axes)))
        return root

    return write


def _run(root, inputs, loaded, report=ignore, **parameters):
    inputs = inputs if isinstance(inputs, (tuple, Series)) else (inputs,)
    return run(Job("segment", root, inputs, {"device": "cpu", **parameters}), report, loaded)


def _uncertainty(result):
    return next(item for item in result.items if isinstance(item, Volume))


def test_a_model_that_sees_the_same_in_every_mirror_is_certain(a_flipped_bundle, loaded):
    array = np.random.default_rng(3).integers(0, 256, (11, 14, 12)).astype(np.uint8)
    scan = Volume(array, OBLIQUE, "scan")
    plain, result = _run(a_flipped_bundle(), scan, loaded), _run(a_flipped_bundle(name="same"), scan, loaded, tta=True)
    np.testing.assert_array_equal(result.labelmap.array, plain.labelmap.array)
    uncertainty = _uncertainty(result)
    assert uncertainty.name == "scan uncertainty"
    np.testing.assert_array_equal(uncertainty.affine, scan.affine)
    assert not uncertainty.array.any()


def test_mirrors_of_a_model_that_tells_directions_apart_disagree_somewhere(a_flipped_bundle, a_scan, loaded):
    result = _run(a_flipped_bundle("spacing_orientation"), a_scan, loaded, tta=True)
    uncertainty = _uncertainty(result).array
    assert uncertainty.dtype == np.float32
    assert 0 < uncertainty.max() < 1
    assert set(np.unique(np.round(uncertainty * 8))) <= set(range(8))
    assert result.provenance.parameters["tta"] == "True"


def test_progress_counts_the_windows_of_all_mirrors(a_flipped_bundle, a_scan, loaded):
    heard = []
    _run(a_flipped_bundle("spacing_orientation"), a_scan, loaded, heard.append, tta=True)
    totals = {progress.total for progress in heard if progress.stage == "Segmenting"}
    windows = max(totals) / 8
    assert windows == int(windows) > 1
    assert [p.done for p in heard if p.stage == "Segmenting" and p.total == max(totals)][-1] >= 7 * windows


def test_a_model_that_knows_left_from_right_is_not_mirrored_between_them(a_flipped_bundle, a_scan, loaded):
    sides = {"0": "background", "1": "left core", "2": "right core"}
    result = _run(a_flipped_bundle("spacing_orientation", labels=sides), a_scan, loaded, tta=True)
    assert any("left from right" in note for note in result.provenance.notes)
    assert set(np.unique(np.round(_uncertainty(result).array * 4, 5))) <= {0, 1, 2, 3}


def test_slices_are_mirrored_in_their_plane(a_flipped_bundle, loaded):
    scan = images_for(RECIPES["plane"])[0]
    uncertainty = _uncertainty(_run(a_flipped_bundle("plane", axes=(0, 1)), scan, loaded, tta=True)).array
    assert set(np.unique(uncertainty * 4)) <= {0, 1, 2, 3}
    assert uncertainty.any()


def test_a_model_trained_on_one_mirror_lets_the_mean_of_both_decide(a_flipped_bundle, a_scan, loaded):
    root = a_flipped_bundle("spacing_orientation", axes=(2,))
    result, plain = _run(root, a_scan, loaded, tta=True), _run(root, a_scan, loaded).labelmap.array
    uncertainty = _uncertainty(result).array
    assert set(np.unique(uncertainty)) == {0, 0.5}
    np.testing.assert_array_equal(result.labelmap.array[uncertainty == 0], plain[uncertainty == 0])
    assert (result.labelmap.array != plain).any()


def test_a_model_that_never_saw_mirrors_is_not_shown_any(a_bundle, a_scan, loaded):
    with pytest.raises(InputError, match="not trained on mirrored images"):
        _run(a_bundle(), a_scan, loaded, tta=True)


@pytest.mark.parametrize(
    ("step", "axes"),
    [
        ({"_target_": "RandFlipd", "keys": "image", "prob": 0.5, "spatial_axis": 0}, (0,)),
        ({"_target_": "monai.transforms.RandFlipd", "keys": "image", "prob": 0.5, "spatial_axis": [0, 2]}, (0, 2)),
        ({"_target_": "RandAxisFlipd", "keys": "image", "prob": 0.5}, (0, 1, 2)),
        ({"_target_": "RandFlipd", "keys": "image", "prob": 0.5}, (0, 1, 2)),
        ({"_target_": "RandFlipd", "keys": "image", "spatial_axis": -1}, (2,)),
        ({"_target_": "RandFlipd", "keys": "image", "spatial_axis": 0, "_disabled_": True}, ()),
        ({"_target_": "RandRotate90d", "keys": "image"}, ()),
    ],
)
def test_the_mirrors_of_a_training_are_read_from_its_configuration(step, axes, a_bundle):
    root = a_bundle()
    train = {"train": {"dataset": {"transform": {"_target_": "Compose", "transforms": [step]}}}}
    (root / "configs" / "train.json").write_text(json.dumps(train))
    assert mirror_axes(root) == axes


def test_a_broken_training_configuration_does_not_keep_a_model_from_being_used(a_bundle):
    root = a_bundle()
    (root / "configs" / "train.json").write_text("{")
    assert mirror_axes(root) == ()


def test_a_model_of_two_images_is_mirrored_too(a_flipped_bundle, loaded):
    sides = {"0": "background", "1": "left core", "2": "right core"}
    root = a_flipped_bundle("two_loaders", labels=sides)
    result = _run(root, images_for(RECIPES["two_loaders"]), loaded, tta=True)
    assert any("left from right" in note for note in result.provenance.notes)


def test_keeping_one_segment_does_not_change_it(a_flipped_bundle, a_scan, loaded):
    root = a_flipped_bundle("spacing_orientation")
    every, one = _run(root, a_scan, loaded, tta=True), _run(root, a_scan, loaded, tta=True, segments="rim")
    assert one.labelmap.volumes_ml() == {"rim": every.labelmap.volumes_ml()["rim"]}
    rim = next(segment for segment in every.labelmap.segments if segment.name == "rim")
    np.testing.assert_array_equal(one.labelmap.array > 0, every.labelmap.mask(rim))


def test_models_of_the_same_structures_vote_voxel_by_voxel(a_bundle, a_scan, loaded):
    roots = [a_bundle("spacing_orientation", name=f"model{seed}", seed=seed) for seed in (7, 8, 9)]
    single = [_run(root, a_scan, loaded).labelmap.array for root in roots]
    result = _run(roots[0], a_scan, loaded, ensemble=tuple(roots[1:]))
    uncertainty = _uncertainty(result).array
    for place in list(np.ndindex(a_scan.shape))[::97]:
        cast = Counter(int(array[place]) for array in single)
        assert cast[int(result.labelmap.array[place])] == max(cast.values())
        np.testing.assert_allclose(uncertainty[place], 1 - max(cast.values()) / 3, atol=1e-6)
    assert result.provenance.parameters["ensemble"] == "model8, model9"
    assert result.provenance.bundle == "model7; model8; model9"
    assert len(set(result.provenance.digest.split("; "))) == 3


def test_models_may_work_on_grids_of_their_own(a_bundle, a_scan, loaded):
    first, other = a_bundle("spacing_orientation"), a_bundle("saving_resamples")
    result = _run(first, a_scan, loaded, ensemble=(other,))
    assert result.labelmap.array.shape == a_scan.array.shape
    assert _uncertainty(result).array.max() == pytest.approx(0.5)


def test_models_of_different_structures_are_refused_together(a_bundle, a_scan, loaded):
    other = a_bundle(name="other", labels={"0": "background", "1": "grey", "2": "tumour"})
    with pytest.raises(InputError, match=r"cannot vote together.*white.*tumour"):
        _run(a_bundle(), a_scan, loaded, ensemble=(other,))


def test_a_model_missing_from_the_ensemble_is_refused(a_bundle, a_scan, loaded, tmp_path):
    with pytest.raises(BundleError):
        _run(a_bundle(), a_scan, loaded, ensemble=(tmp_path / "nothing",))


def test_every_frame_of_a_sequence_has_its_own_uncertainty(a_flipped_bundle, a_scan, loaded):
    frames = (a_scan, Volume(a_scan.array + 50, a_scan.affine, "later"))
    result = _run(a_flipped_bundle("spacing_orientation"), Series(frames), loaded, tta=True)
    assert [len(frame.items) for frame in result.frames] == [3, 3]
    alone = _run(a_flipped_bundle("spacing_orientation", name="again"), frames[1], loaded, tta=True)
    np.testing.assert_array_equal(result.frames[1].labelmap.array, alone.labelmap.array)


@pytest.mark.parametrize("parameters", [{"tta": "yes"}, {"ensemble": 3}, {"backend": "abacus"}])
def test_choices_that_cannot_be_used_are_refused_by_name(parameters, a_bundle, a_scan, loaded):
    with pytest.raises(InputError, match=next(iter(parameters))):
        _run(a_bundle(), a_scan, loaded, **parameters)
