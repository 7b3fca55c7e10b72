"""The whole task, from a Job to a Result, with a model whose right answer is known: the negative of an image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medai.engine.loaded import LoadedModels
from medai.errors import BundleError, InputError, JobCancelled
from medai.jobs.job import Job
from medai.progress import ignore
from medai.tasks import run
from medai.volume import SYNTHETIC, SYNTHETIC_KEY, Region, Series, Volume, apply_affine
from small_bundles import OBLIQUE, RECIPES, write_bundle
from small_restorers import denoiser, translator

FLIP = {"_target_": "Orientationd", "keys": "image", "axcodes": "LPS"}
COARSE = {"_target_": "Spacingd", "keys": "image", "pixdim": [1.6, 1.5, 2.6], "mode": "bilinear"}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("translators")
    return {
        "plain": write_bundle(root / "plain", translator()),
        "other_axes": write_bundle(root / "other_axes", translator(pre=[FLIP])),
        "other_grid": write_bundle(root / "other_grid", translator(pre=[FLIP, COARSE])),
        "planar": write_bundle(root / "planar", translator(2)),
        "denoiser": write_bundle(root / "denoiser", denoiser()),
        "segmenter": write_bundle(root / "segmenter", RECIPES["threshold"]),
    }


@pytest.fixture(scope="module")
def loaded():
    return LoadedModels()


@pytest.fixture
def a_scan() -> Volume:
    array = np.random.default_rng(1).integers(-300, 900, (9, 13, 11)).astype(np.int16)
    return Volume(array, OBLIQUE, "HEAD", "MR")


@pytest.fixture
def translate(loaded):
    def run_here(root, image, report=ignore, **parameters):
        inputs = image if isinstance(image, Series) else (image,)
        return run(Job("translate", root, inputs, {"device": "cpu", **parameters}), report, loaded)

    return run_here


def negative(array: np.ndarray) -> np.ndarray:
    values = array.astype(np.float64)
    return 1000 - 800 * (values - values.min()) / (values.max() - values.min())


@pytest.mark.parametrize("model", ["plain", "other_axes"])
def test_the_other_contrast_lies_on_the_images_own_grid(models, translate, a_scan, model):
    found = translate(models[model], a_scan).volume
    np.testing.assert_array_equal(found.affine, a_scan.affine)
    assert found.array.dtype == np.float32
    np.testing.assert_allclose(found.array, negative(a_scan.array), atol=0.1)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.permutations(range(3)),
    flips=st.tuples(*[st.booleans()] * 3),
    shape=st.tuples(*[st.integers(3, 12)] * 3),
)
def test_no_way_to_store_an_image_changes_it(models, translate, order, flips, shape):
    rng = np.random.default_rng(sum(shape))
    matrix = np.eye(4)
    matrix[:3, :3] = OBLIQUE[:3, :3][:, order] * np.where(flips, -1, 1)
    array = rng.integers(0, 500, shape).astype(np.uint16)
    found = translate(models["other_axes"], Volume(array, matrix, "any")).volume
    np.testing.assert_array_equal(found.affine, matrix)
    np.testing.assert_allclose(found.array, negative(array), atol=0.1)


def test_a_model_of_another_grid_answers_on_the_images(models, translate):
    k, j, i = np.meshgrid(*[np.arange(n) for n in (10, 14, 12)], indexing="ij")
    ramp = Volume((10.0 * i + 5 * j + 20 * k).astype(np.float32), np.diag([1.0, 1, 2, 1]), "ramp")
    found = translate(models["other_grid"], ramp).volume
    assert found.same_grid(ramp)
    inner = (slice(2, -2),) * 3
    assert np.abs(found.array - negative(ramp.array))[inner].max() < 40


def test_it_is_called_synthetic_wherever_it_goes(models, translate, a_scan):
    result = translate(models["plain"], a_scan)
    assert result.volume.name == "HEAD synthetic"
    assert SYNTHETIC in result.volume.notes
    assert SYNTHETIC in result.provenance.notes
    assert result.provenance.attributes()[SYNTHETIC_KEY] == "yes"
    assert result.provenance.attributes()["MedAI.Task"] == "translate"


def test_slices_are_translated_one_by_one_and_empty_ones_stay_empty(models, translate, a_scan):
    array = a_scan.array.copy()
    array[3] = 7
    result = translate(models["planar"], Volume(array, OBLIQUE, "stack"))
    np.testing.assert_allclose(result.volume.array[5], negative(array[5]), atol=0.1)
    assert not result.volume.array[3].any()
    assert any("one by one" in note for note in result.provenance.notes)


@pytest.mark.parametrize("model", ["plain", "other_axes", "planar"])
def test_only_the_region_is_translated(models, translate, a_scan, model):
    whole = translate(models[model], a_scan).volume.array
    center = apply_affine(OBLIQUE, np.array([[5.0, 6.0, 4.0]]))[0]
    axes = OBLIQUE[:3, :3] / np.linalg.norm(OBLIQUE[:3, :3], axis=0)
    found = translate(models[model], a_scan, region=Region(center, (5.0, 5.0, 9.0), axes=axes)).volume.array
    inside = found != 0
    assert inside.any()
    assert not inside.all()
    np.testing.assert_allclose(found[inside], whole[inside], atol=1e-3)


def test_frames_are_translated_each_for_itself(models, translate, a_scan):
    other = Volume((a_scan.array // 3)[:, :7], np.diag([2.0, 2, 2, 1]), "HEAD 2")
    result = translate(models["plain"], Series((a_scan, other), unit="s"))
    for frame, image in zip(result.frames, (a_scan, other), strict=True):
        np.testing.assert_allclose(frame.volume.array, negative(image.array), atol=0.1)
    assert [frame.volume.name for frame in result.frames] == ["HEAD synthetic", "HEAD 2 synthetic"]


def test_a_job_can_be_cancelled(models, translate, a_scan):
    def stop(progress):
        if progress.stage == "Translating":
            raise JobCancelled("The job was cancelled.")

    with pytest.raises(JobCancelled):
        translate(models["plain"], a_scan, stop)


def test_what_cannot_be_translated_is_refused(models, translate, loaded, a_scan):
    with pytest.raises(InputError, match="one image can be translated at a time"):
        run(Job("translate", models["plain"], (a_scan, a_scan), {}), ignore, loaded)
    with pytest.raises(InputError):
        translate(models["plain"], Volume(np.full((5, 6, 7), 41, np.uint16), OBLIQUE, "empty"))
    for name in ("denoiser", "segmenter"):
        with pytest.raises(BundleError, match="is not for making images of another contrast"):
            translate(models[name], a_scan)
