"""Mirrors and models that vote, and the uncertainty that comes of it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

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


def _run(root, inputs, loaded, report=ignore, **parameters):
    inputs = inputs if isinstance(inputs, (tuple, Series)) else (inputs,)
    return run(Job("segment", root, inputs, {"device": "cpu", **parameters}), report, loaded)


def _uncertainty(result):
    return next(item for item in result.items if isinstance(item, Volume))


def test_a_model_that_sees_the_same_in_every_mirror_is_certain(a_bundle, loaded):
    array = np.random.default_rng(3).integers(0, 256, (11, 14, 12)).astype(np.uint8)
    scan = Volume(array, OBLIQUE, "scan")
    plain, result = _run(a_bundle(), scan, loaded), _run(a_bundle(name="same"), scan, loaded, tta=True)
    np.testing.assert_array_equal(result.labelmap.array, plain.labelmap.array)
    uncertainty = _uncertainty(result)
    assert uncertainty.name == "scan uncertainty"
    np.testing.assert_array_equal(uncertainty.affine, scan.affine)
    assert not uncertainty.array.any()


def test_mirrors_of_a_model_that_tells_directions_apart_disagree_somewhere(a_bundle, a_scan, loaded):
    result = _run(a_bundle("spacing_orientation"), a_scan, loaded, tta=True)
    uncertainty = _uncertainty(result).array
    assert uncertainty.dtype == np.float32
    assert 0 < uncertainty.max() < 1
    assert set(np.unique(np.round(uncertainty * 8))) <= set(range(8))
    assert result.provenance.parameters["tta"] == "True"


def test_progress_counts_the_windows_of_all_mirrors(a_bundle, a_scan, loaded):
    heard = []
    _run(a_bundle("spacing_orientation"), a_scan, loaded, heard.append, tta=True)
    totals = {progress.total for progress in heard if progress.stage == "Segmenting"}
    windows = max(totals) / 8
    assert windows == int(windows) > 1
    assert [p.done for p in heard if p.stage == "Segmenting" and p.total == max(totals)][-1] >= 7 * windows


def test_a_model_that_knows_left_from_right_is_not_mirrored_between_them(a_bundle, a_scan, loaded):
    sides = {"0": "background", "1": "left core", "2": "right core"}
    result = _run(a_bundle("spacing_orientation", labels=sides), a_scan, loaded, tta=True)
    assert any("left from right" in note for note in result.provenance.notes)
    assert set(np.unique(np.round(_uncertainty(result).array * 4, 5))) <= {0, 1, 2, 3}


def test_slices_are_mirrored_in_their_plane(a_bundle, loaded):
    scan = images_for(RECIPES["plane"])[0]
    uncertainty = _uncertainty(_run(a_bundle("plane"), scan, loaded, tta=True)).array
    assert set(np.unique(uncertainty * 4)) <= {0, 1, 2, 3}
    assert uncertainty.any()


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


def test_every_frame_of_a_sequence_has_its_own_uncertainty(a_bundle, a_scan, loaded):
    frames = (a_scan, Volume(a_scan.array + 50, a_scan.affine, "later"))
    result = _run(a_bundle("spacing_orientation"), Series(frames), loaded, tta=True)
    assert [len(frame.items) for frame in result.frames] == [3, 3]
    alone = _run(a_bundle("spacing_orientation", name="again"), frames[1], loaded, tta=True)
    np.testing.assert_array_equal(result.frames[1].labelmap.array, alone.labelmap.array)


@pytest.mark.parametrize("parameters", [{"tta": "yes"}, {"ensemble": 3}, {"backend": "abacus"}])
def test_choices_that_cannot_be_used_are_refused_by_name(parameters, a_bundle, a_scan, loaded):
    with pytest.raises(InputError, match=next(iter(parameters))):
        _run(a_bundle(), a_scan, loaded, **parameters)
