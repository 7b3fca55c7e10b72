"""The shipped denoisers: on a phantom with noise of known strength, and on real images where there are some."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import medai
from medai.files import read
from medai.training.judge_images import add_noise
from medai.volume import Volume

ROOT = Path(__file__).resolve().parents[3]
MODELS = ROOT / "models"
DATA = ROOT.parent / "shared" / "data"
NOISE = {"mr_denoiser": ("rician", 1000.0), "ct_denoiser": ("low_dose_ct", 2000.0)}
"""What each takes away, and the range of which the strength is a share."""


def a_head(modality: str) -> Volume:
    """An oblique, flipped image of an ellipsoid with a hollow, whose tissue varies smoothly; MR or CT intensities."""
    k, j, i = np.mgrid[-1:1:24j, -1:1:44j, -1:1:40j]
    inside = k**2 + j**2 + i**2 < 0.8
    hollow = (k**2 + (j - 0.2) ** 2 + i**2) < 0.06
    texture = gaussian_filter(np.random.default_rng(5).normal(0, 1, k.shape), 3)
    share = np.where(hollow, 0.3, 0.75 + 2 * texture) * inside
    values = 1000 * share if modality == "MR" else np.where(inside, 120 * share - 40, -1000)
    affine = np.array([[-0.9, 0.1, 0, 30], [0.1, 0.9, 0, -40], [0, 0, 1.5, 10], [0, 0, 0, 1]])
    return Volume(gaussian_filter(values, 0.6).astype(np.int16), affine, "head", modality)


def error(image: Volume, truth: Volume) -> float:
    return float(np.sqrt(((image.array.astype(float) - truth.array) ** 2).mean()))


def denoised(name: str, noisy: Volume) -> Volume:
    return medai.denoise(noisy, MODELS / name, in_process=True, device="cpu", backend="torch").volume


@pytest.mark.parametrize("share", [0.03, 0.1])
def test_the_noise_of_a_magnitude_image_is_mostly_gone(share):
    truth = a_head("MR")
    noisy = add_noise(truth, "rician", share * 1000, seed=3)
    assert error(denoised("mr_denoiser", noisy), truth) < 0.55 * error(noisy, truth)


@pytest.mark.parametrize("share", [0.02, 0.05])
def test_the_noise_of_a_low_dose_is_mostly_gone(share):
    truth = a_head("CT")
    noisy = add_noise(truth, "low_dose_ct", share * 2000, seed=3)
    assert error(denoised("ct_denoiser", noisy), truth) < 0.65 * error(noisy, truth)


@pytest.mark.parametrize("name", NOISE)
def test_the_result_has_the_grid_type_and_scale_of_the_input(name):
    model, peak = NOISE[name]
    truth = a_head("MR" if model == "rician" else "CT")
    noisy = add_noise(truth, model, 0.05 * peak, seed=1)
    noisy = replace(noisy, array=np.round(noisy.array).astype(np.int16))
    found = denoised(name, noisy)
    assert found.array.dtype == noisy.array.dtype
    assert found.shape == noisy.shape
    assert np.array_equal(found.affine, noisy.affine)
    # Not the noisy image's own mean: Rician noise makes what is dark brighter.
    assert abs(float(found.array.mean()) - float(truth.array.mean())) < 0.02 * peak


def test_what_surrounds_a_ct_and_metal_in_it_stay_and_disturb_nothing():
    truth = a_head("CT")
    noisy = add_noise(truth, "low_dose_ct", 60.0, seed=4)
    far = np.zeros(truth.shape, bool)
    far[:, :6] = far[10:14, 20:24, 18:22] = True
    plain, disturbed = (
        denoised("ct_denoiser", replace(noisy, array=np.where(far, value, noisy.array).astype(np.float32))).array
        for value in ([-1500.0, 4000.0], [-3024.0, 20000.0])
        for value in [np.where(np.arange(truth.shape[1])[:, None] < 6, *value)]
    )
    assert set(np.unique(disturbed[far])) == {-3024, 20000}
    assert np.allclose(plain[~far], disturbed[~far], atol=0.01)


@pytest.mark.parametrize("factor", [0.01, 30.0])
def test_the_unit_of_intensities_does_not_matter(factor):
    noisy = add_noise(a_head("MR"), "rician", 50.0, seed=2)
    plain, scaled = (
        denoised("mr_denoiser", replace(noisy, array=(noisy.array * by).astype(np.float32))).array / by
        for by in (1.0, factor)
    )
    assert np.allclose(plain, scaled, atol=0.5)


@pytest.mark.skipif(not DATA.is_dir(), reason="the images are not there")
@pytest.mark.parametrize(
    ("name", "image"),
    [("mr_denoiser", "hippocampus_mr/images/hippocampus_003.nii.gz"), ("ct_denoiser", "volumes/chest_ct_1.5mm.nii.gz")],
)
def test_real_images_that_it_has_not_learned_from_get_better(name, image):
    model, _ = NOISE[name]
    whole = read(DATA / image)
    assert isinstance(whole, Volume)
    clean = replace(whole, array=np.ascontiguousarray(whole.array[:48, 20:84, 20:84]))
    peak = float(np.percentile(clean.array, 99.5)) if model == "rician" else 2000.0
    noisy = add_noise(clean, model, 0.06 * peak, seed=0)
    assert error(denoised(name, noisy), clean) < 0.75 * error(noisy, clean)
