"""The whole denoising task, from a Job to a Result, with a model whose right answer is known: it takes every voxel
halfway to the middle of the image's range."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.ndimage import maximum_filter, minimum_filter

from medai.engine.loaded import LoadedModels
from medai.errors import BundleError, GeometryError, InputError, JobCancelled, OutOfMemoryError
from medai.jobs.job import Job
from medai.progress import ignore
from medai.tasks import run
from medai.volume import Region, Series, Volume, apply_affine
from small_bundles import OBLIQUE, RECIPES, write_bundle
from small_restorers import denoiser

FLIP = {"_target_": "Orientationd", "keys": "image", "axcodes": "LPS"}
COARSE = {"_target_": "Spacingd", "keys": "image", "pixdim": [1.6, 1.5, 2.6], "mode": "bilinear"}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("denoisers")
    return {
        "plain": write_bundle(root / "plain", denoiser()),
        "other_axes": write_bundle(root / "other_axes", denoiser(pre=[FLIP])),
        "other_grid": write_bundle(root / "other_grid", denoiser(pre=[FLIP, COARSE])),
        "planar": write_bundle(root / "planar", denoiser(2)),
        "colour": write_bundle(root / "colour", denoiser(2, channels=3)),
        "mean": write_bundle(root / "mean", denoiser(kernel=3)),
    }


@pytest.fixture(scope="module")
def loaded():
    return LoadedModels()


@pytest.fixture
def a_scan() -> Volume:
    array = np.random.default_rng(1).integers(-300, 900, (9, 13, 11)).astype(np.int16)
    return Volume(array, OBLIQUE, "HEAD", "MR")


@pytest.fixture
def denoise(loaded):
    def run_here(root, image, report=ignore, **parameters):
        inputs = image if isinstance(image, Series) else (image,)
        return run(Job("denoise", root, inputs, {"device": "cpu", **parameters}), report, loaded)

    return run_here


def halfway(array: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """What the model is known to make of an image."""
    values = array.astype(np.float64)
    middle = (values.min() + values.max()) / 2
    return values - strength * (values - middle) / 2


@pytest.mark.parametrize("model", ["plain", "other_axes"])
def test_every_voxel_is_what_the_model_says(model, models, denoise, a_scan):
    result = denoise(models[model], a_scan)
    assert result.volume.name == "HEAD denoised"
    assert result.volume.modality == "MR"
    np.testing.assert_array_equal(result.volume.affine, a_scan.affine)
    assert np.abs(result.volume.array - halfway(a_scan.array)).max() <= 0.501


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
def test_strength_blends_from_the_image_to_the_result(strength, models, denoise, a_scan):
    result = denoise(models["plain"], a_scan, strength=strength)
    assert np.abs(result.volume.array - halfway(a_scan.array, strength)).max() <= 0.501
    if not strength:
        np.testing.assert_array_equal(result.volume.array, a_scan.array)


def test_the_noise_is_exactly_what_is_missing(models, denoise, a_scan):
    result = denoise(models["other_grid"], a_scan, noise=True, strength=0.8)
    clean, noise = result.items[:2]
    assert noise.name == "HEAD noise"
    assert noise.array.dtype == np.float32
    np.testing.assert_array_equal(noise.affine, a_scan.affine)
    np.testing.assert_array_equal(clean.array + noise.array, a_scan.array)
    assert result.table.columns["Noise removed (SD)"][0] == pytest.approx(noise.array.std(), rel=1e-5)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    dtype=st.sampled_from(["u1", "i1", "u2", "i2", "u4", "i4", "i8", "u8", "f2", "f4", "f8", "?", ">i2"]),
    shape=st.tuples(st.integers(1, 6), st.integers(2, 9), st.integers(2, 9)),
    flips=st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3),
    spacing=st.tuples(*[st.floats(0.3, 4.0)] * 3),
    turn=st.floats(-1.5, 1.5),
    model=st.sampled_from(["other_axes", "other_grid"]),
    seed=st.integers(0, 99),
)
def test_grid_type_and_sign_are_those_of_the_input(  # noqa: PLR0917 - hypothesis gives all of them
    models, denoise, dtype, shape, flips, spacing, turn, model, seed
):
    kind = np.dtype(dtype)
    rng = np.random.default_rng(seed)
    array = rng.normal(60, 30, shape).clip(-100 if kind.kind in "if" else 0, 120).astype(kind)
    array.flat[:2] = (0, 1)
    rotation = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag(np.array(flips) * spacing)
    affine[:3, 3] = rng.normal(0, 50, 3)
    image = Volume(array, affine, "any")
    result = denoise(models[model], image, noise=True)
    clean, noise = result.items[:2]
    assert clean.array.dtype == array.dtype
    assert clean.same_grid(image)
    assert noise.array.shape == array.shape
    if array.min() >= 0:
        assert clean.array.min() >= 0
    np.testing.assert_allclose(
        clean.array.astype(np.float64) + noise.array,
        array.astype(np.float64),
        atol=1e-3 * abs(array.astype(float)).max(),
    )


def test_the_largest_numbers_of_a_type_do_not_wrap_around(models, denoise):
    for kind in ("u1", "i2", "u2", "i4"):
        top, bottom = np.iinfo(kind).max, np.iinfo(kind).min
        array = np.full((16, 16, 16), top, dtype=kind)
        array[:, :8] = bottom
        found = denoise(models["mean"], Volume(array, np.eye(4), "extremes")).volume.array
        np.testing.assert_allclose(found[:, 9:].astype(float), top, atol=1e-6 * (float(top) - bottom))
        np.testing.assert_allclose(found[:, :7].astype(float), bottom, atol=1e-6 * (float(top) - bottom))


def test_detail_is_not_lost_where_the_model_has_a_coarser_grid(models, denoise):
    """On the model's grid the fine pattern is gone, so it cannot be noise to the model, and must not be touched."""
    plane = np.indices((8, 24, 24)).sum(axis=0) % 2
    smooth = np.linspace(0, 400, 24)[np.newaxis, np.newaxis, :]
    image = Volume((smooth + 40 * plane).astype(np.float32), np.diag([0.4, 0.4, 0.4, 1]), "fine")
    result = denoise(models["other_grid"], image)
    residue = result.volume.array - halfway(np.broadcast_to(smooth, plane.shape))
    middle = slice(2, -2), slice(4, -4), slice(9, -9)  # elsewhere the model goes further than neighbours differ
    inner, fine = residue[middle], plane[middle]
    assert np.ptp(inner[fine == 1]) < 40
    step = inner[fine == 1].mean() - inner[fine == 0].mean()
    assert step == pytest.approx(40, abs=4)


def test_planted_noise_is_reduced(models, denoise):
    rng = np.random.default_rng(0)
    z, y, x = np.indices((16, 24, 24)) / 24
    clean = 400 + 200 * np.sin(2 * x + y) * np.cos(z)
    noisy = clean + rng.normal(0, 30, clean.shape)
    found = denoise(models["mean"], Volume(noisy.astype(np.float32), OBLIQUE, "noisy")).volume.array
    before, after = np.sqrt(((noisy - clean) ** 2).mean()), np.sqrt(((found - clean) ** 2).mean())
    assert after < before / 3


def test_no_voxel_leaves_the_range_of_its_neighbours(models, denoise, a_scan):
    """Whatever a network makes of an image; the middle of this one's range is far from both of its halves."""
    array = a_scan.array.copy()
    array[:, :6], array[:, 6:] = 100, array[:, 6:] // 50 + 800
    found = denoise(models["plain"], Volume(array, OBLIQUE, "two"), noise=True)
    around = {"size": 5, "mode": "nearest"}
    assert (found.volume.array >= minimum_filter(array, **around)).all()
    assert (found.volume.array <= maximum_filter(array, **around)).all()
    assert (found.volume.array[:, :4] == 100).all(), "what is all the same has no noise"
    assert (found.volume.array[:, 8:] != array[:, 8:]).any()
    assert (found.items[1].array == array - found.volume.array.astype(np.float32)).all()


@pytest.mark.parametrize("model", ["other_axes", "other_grid", "planar"])
def test_outside_of_a_region_not_a_voxel_changes(model, models, denoise, a_scan):
    axes = np.linalg.qr(np.array([[1.0, 0.3, 0], [-0.2, 1, 0.4], [0, 0.1, 1]]))[0]
    center = apply_affine(OBLIQUE, np.array([[5.0, 6.0, 4.0]]))[0]
    region = Region(center, [6.0, 5.0, 9.0], axes)
    found = denoise(models[model], a_scan, region=region, noise=True).volume.array
    index = np.indices(a_scan.shape)[::-1].reshape(3, -1).T.astype(float)
    inside = region.contains(apply_affine(OBLIQUE, index)).reshape(a_scan.shape)
    np.testing.assert_array_equal(found[~inside], a_scan.array[~inside])
    assert (found[inside] != a_scan.array[inside]).mean() > 0.8


def test_a_region_gives_what_the_whole_image_would_give_there(models, denoise):
    array = np.random.default_rng(4).integers(0, 900, (10, 44, 46)).astype(np.int16)
    image = Volume(array, OBLIQUE, "wide")
    region = Region(apply_affine(OBLIQUE, np.array([[8.0, 8.0, 5.0]]))[0], [5.0, 5.0, 5.0])
    windows: list[float] = []
    part = denoise(models["other_axes"], image, lambda p: windows.append(p.total), region=region).volume.array
    of_part = max(windows)
    windows.clear()
    whole = denoise(models["other_axes"], image, lambda p: windows.append(p.total)).volume.array
    changed = part != array
    assert changed.any()
    np.testing.assert_allclose(part[changed], whole[changed], atol=1)
    assert of_part < max(windows) / 2  # the network did not go elsewhere


def test_a_region_outside_of_the_image_is_refused(models, denoise, a_scan):
    with pytest.raises(GeometryError, match="outside the image"):
        denoise(models["plain"], a_scan, region=Region([900.0, 0, 0], [5.0, 5.0, 5.0]))


def test_slices_go_one_by_one_through_a_model_of_pictures(models, denoise, a_scan):
    a_scan.array[3] = 7
    result = denoise(models["planar"], a_scan)
    for k in (0, 5):
        assert np.abs(result.volume.array[k] - halfway(a_scan.array[k])).max() <= 0.501
    np.testing.assert_array_equal(result.volume.array[3], a_scan.array[3])
    assert any("9 slices were denoised one by one" in note for note in result.provenance.notes)
    assert any("are the same; they were left" in note for note in result.provenance.notes)


def test_colours_go_through_one_by_one_where_the_model_takes_one(models, denoise):
    array = np.random.default_rng(2).integers(0, 256, (1, 20, 18, 3)).astype(np.uint8)
    result = denoise(models["planar"], Volume(array, np.eye(4), "picture"), noise=True)
    assert result.volume.array.shape == array.shape
    for colour in range(3):
        assert np.abs(result.volume.array[..., colour] - halfway(array[..., colour])).max() <= 0.501
    assert any("denoised one by one" in note for note in result.provenance.notes)


def test_colours_go_through_together_where_the_model_takes_all(models, denoise):
    array = np.random.default_rng(2).integers(0, 256, (1, 20, 18, 3)).astype(np.uint8)
    found = denoise(models["colour"], Volume(array, np.eye(4), "picture")).volume.array
    assert np.abs(found - halfway(array)).max() <= 0.501


@pytest.mark.parametrize("model", ["planar", "colour"])
def test_transparency_stays(model, models, denoise):
    array = np.random.default_rng(2).integers(0, 256, (1, 20, 18, 4)).astype(np.uint8)
    result = denoise(models[model], Volume(array, np.eye(4), "picture"))
    np.testing.assert_array_equal(result.volume.array[..., 3], array[..., 3])
    assert (result.volume.array[..., :3] != array[..., :3]).any()
    assert "The transparency of 'picture' was left as it is." in result.provenance.notes


def test_a_constant_image_comes_back_unchanged(models, denoise):
    image = Volume(np.full((5, 6, 7), 41, np.uint16), OBLIQUE, "empty")
    result = denoise(models["other_grid"], image, noise=True)
    np.testing.assert_array_equal(result.volume.array, image.array)
    assert not result.items[1].array.any()
    assert any("'empty'" in note and "are the same" in note for note in result.provenance.notes)


def test_voxels_that_are_no_numbers_are_filled_and_told(models, denoise):
    array = np.random.default_rng(0).normal(100, 20, (6, 9, 9)).astype(np.float32)
    array[2, 3, 4], array[1, 1, 1] = np.nan, np.inf
    result = denoise(models["plain"], Volume(array, np.eye(4), "holes"), noise=True)
    assert np.isfinite(result.volume.array).all()
    assert any("2 voxels of 'holes' are infinite or not a number" in note for note in result.provenance.notes)


def test_a_model_with_a_scale_of_its_own_is_brought_back_to_the_image(tmp_path, denoise, a_scan):
    recipe = denoiser(pre=[FLIP])
    recipe.post = recipe.post[1:]  # gives 0 to 1
    result = denoise(write_bundle(tmp_path / "own_scale", recipe), a_scan)
    assert np.abs(result.volume.array - halfway(a_scan.array)).max() <= 0.51
    assert any("scale of its own" in note for note in result.provenance.notes)


def test_frames_are_denoised_each_for_itself(models, denoise, a_scan):
    other = Volume((a_scan.array // 3)[:, :7], np.diag([2.0, 2, 2, 1]), "HEAD 2")
    result = denoise(models["plain"], Series((a_scan, other), unit="s"), noise=True)
    assert [frame.volume.array.shape for frame in result.frames] == [a_scan.shape, other.shape]
    for frame, image in zip(result.frames, (a_scan, other), strict=True):
        assert np.abs(frame.volume.array - halfway(image.array)).max() <= 0.501
    assert result.table.columns["Image"] == ("HEAD", "HEAD 2")
    assert "Noise removed (SD)" in result.frames[1].table.columns


def test_two_images_at_once_are_refused(models, loaded, a_scan):
    with pytest.raises(InputError, match="one image can be denoised at a time"):
        run(Job("denoise", models["plain"], (a_scan, a_scan), {}), ignore, loaded)


def test_a_model_for_something_else_is_refused(tmp_path, denoise, a_scan):
    root = write_bundle(tmp_path / "threshold", RECIPES["threshold"])
    with pytest.raises(BundleError, match="not for noise removal"):
        denoise(root, a_scan)


@pytest.mark.parametrize("strength", [-0.1, 1.5, float("nan"), "much", True])
def test_a_strength_that_makes_no_sense_is_refused(strength, models, denoise, a_scan):
    with pytest.raises(InputError, match="strength"):
        denoise(models["plain"], a_scan, strength=strength)


@pytest.mark.parametrize("stage", ["Preparing", "Loading model", "Denoising", "Finishing"])
def test_cancel_in_any_stage_ends_the_job_and_the_next_one_works(stage, models, denoise, a_scan):
    def cancel(progress):
        if progress.stage == stage:
            raise JobCancelled("The job was cancelled.")

    with pytest.raises(JobCancelled):
        denoise(models["plain"], a_scan, cancel)
    assert denoise(models["plain"], a_scan).volume.array.shape == a_scan.shape


def test_scarce_memory_makes_it_step_down_and_say_so(models, denoise, a_scan, monkeypatch):
    from medai.bundles.pipeline import Pipeline

    infer, failures = Pipeline.infer, []

    def scarce(self, data, network=None, **options):
        if options.get("on_window") is not None and not failures:
            failures.append(1)
            raise OutOfMemoryError("The computer ran out of memory.")
        return infer(self, data, network, **options)

    monkeypatch.setattr(Pipeline, "infer", scarce)
    result = denoise(models["plain"], a_scan)
    assert np.abs(result.volume.array - halfway(a_scan.array)).max() <= 0.501
    assert any(note.startswith("Memory ran out") for note in result.provenance.notes)


def test_what_was_chosen_is_in_the_provenance(models, denoise, a_scan):
    provenance = denoise(models["plain"], a_scan, strength=0.25, noise=True).provenance
    assert provenance.task == "denoise"
    assert provenance.parameters == {"device": "cpu", "strength": "0.25", "noise": "True"}
    assert provenance.bundle == "plain"
