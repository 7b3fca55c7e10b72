"""The noise that denoisers learn from: as strong as it says, where it should be, and the same for the same seed."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import RandGaussianNoised, RandRicianNoised

from medai.errors import InputError
from medai.training.components.noise import (
    QuantumNoiseMapd,
    RandLowDoseCTd,
    RandStrengthd,
    quantum_noise_map,
    slice_noise,
)
from medai.training.judge_images import add_noise
from medai.training.parameters import NOISES, TrainingParameters
from medai.volume import Volume


@pytest.fixture
def a_water_cylinder() -> torch.Tensor:
    """Three slices of 80 voxels along an edge: a disc of water, 60 voxels across, in air."""
    x, y = np.meshgrid(np.arange(80) - 39.5, np.arange(80) - 39.5, indexing="ij")
    disc = np.where(np.hypot(x, y) < 30, 0.0, -1000.0).astype(np.float32)
    return torch.from_numpy(np.repeat(disc[..., None], 3, axis=2))


@pytest.fixture
def a_phantom(a_water_cylinder) -> Volume:
    return Volume(np.ascontiguousarray(a_water_cylinder.numpy().T), np.diag([4.0, 4.0, 5.0, 1.0]), "phantom", "CT")


def test_the_middle_of_a_cylinder_is_the_noisiest_part_of_it(a_water_cylinder):
    found = quantum_noise_map(a_water_cylinder, (4.0, 4.0))
    assert float(found[a_water_cylinder > -500].median()) == pytest.approx(1, abs=0.01)
    assert found[40, 40, 1] > found[40, 12, 1] > found[2, 2, 1]

    def expected(x: float, y: float) -> float:
        """From the chords of a disc of 120 mm of water, 0.0193 per mm, through a point, in all directions."""
        angles = np.linspace(0, np.pi, 2000, endpoint=False)
        distance = x * np.cos(angles) + y * np.sin(angles)
        chords = 2 * np.sqrt(np.maximum(120.0**2 - distance**2, 0))
        return float(np.sqrt(np.exp(0.0193 * chords).mean()))

    for i, j in ((40, 12), (20, 30), (2, 2)):
        ratio = float(found[40, 40, 1] / found[i, j, 1])
        assert ratio == pytest.approx(expected(2, 2) / expected(4 * (i - 39.5), 4 * (j - 39.5)), rel=0.08)


def test_a_thicker_cylinder_is_noisier_in_its_middle(a_water_cylinder):
    contrast = [quantum_noise_map(a_water_cylinder, (mm, mm))[40, 40, 0] for mm in (1.0, 4.0)]
    assert contrast[1] > contrast[0]


def test_an_image_without_tissue_has_even_noise():
    found = quantum_noise_map(torch.full((16, 16), -1000.0), (1.0, 1.0))
    assert torch.allclose(found, torch.ones(16, 16))


@pytest.mark.parametrize("shape", [(64, 64, 12), (63, 48)])
@pytest.mark.parametrize("cutoff", [0.25, 0.8])
@pytest.mark.parametrize("white", [0.0, 0.5, 1.0])
def test_slice_noise_has_variance_1(shape, cutoff, white):
    found = torch.stack([slice_noise(shape, np.random.RandomState(n), cutoff=cutoff, white=white) for n in range(8)])
    assert found.shape == (8, *shape)
    assert float(found.std()) == pytest.approx(1, rel=0.03)


def test_the_noise_of_a_slice_has_the_spectrum_of_a_ramp():
    found = slice_noise((128, 128, 40), np.random.RandomState(0), cutoff=0.5, white=0.0).numpy()
    power = (np.abs(np.fft.fft2(found, axes=(0, 1))) ** 2).mean(axis=2)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128), indexing="ij"))
    rings = [power[(frequency > low) & (frequency <= low + 0.02)].mean() for low in (0.02, 0.1, 0.24)]
    expected = [f * np.exp(-2 * (f / 0.5) ** 2) for f in (0.03, 0.11, 0.25)]
    assert rings / rings[0] == pytest.approx(expected / np.float64(expected[0]), rel=0.2)
    assert power[0, 0] < 1e-6 * power.max()


def test_slices_do_not_share_noise():
    found = slice_noise((64, 64, 2), np.random.RandomState(0), cutoff=0.5, white=0.0).numpy()
    assert abs(np.corrcoef(found[..., 0].ravel(), found[..., 1].ravel())[0, 1]) < 0.1


def test_white_noise_does_not_know_its_neighbour_and_a_smooth_kernels_does():
    def of_neighbours(white: float) -> float:
        found = slice_noise((96, 96), np.random.RandomState(1), cutoff=0.25, white=white).numpy()
        return float(np.corrcoef(found[1:].ravel(), found[:-1].ravel())[0, 1])

    assert abs(of_neighbours(1.0)) < 0.05
    assert of_neighbours(0.0) > 0.2


@pytest.mark.parametrize("model", [model for model in NOISES if model != "auto"])
def test_noise_is_as_strong_as_asked_for(a_phantom, model):
    image = Volume(a_phantom.array + 2000, a_phantom.affine) if model == "rician" else a_phantom
    noisy = add_noise(image, model, 20.0, seed=3)
    inside = a_phantom.array > -500
    assert float((noisy.array - image.array)[inside].std()) == pytest.approx(20, rel=0.2)
    assert np.array_equal(noisy.affine, image.affine)
    assert noisy.array.shape == image.array.shape


def test_rician_noise_of_air_is_rayleigh_noise():
    air = Volume(np.zeros((8, 40, 40), np.float32), np.eye(4))
    noisy = add_noise(air, "rician", 10.0, seed=0).array
    assert noisy.min() >= 0
    assert float(noisy.mean()) == pytest.approx(10 * np.sqrt(np.pi / 2), rel=0.02)


@pytest.mark.parametrize("model", [model for model in NOISES if model != "auto"])
def test_the_same_seed_makes_the_same_noise(a_phantom, model):
    first, again, other = (add_noise(a_phantom, model, 20.0, seed=seed).array for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_noise_of_a_low_dose_takes_its_map_out_of_the_case(a_water_cylinder):
    image = MetaTensor(a_water_cylinder[None], affine=torch.diag(torch.tensor([4.0, 4.0, 5.0, 1.0])))
    case = QuantumNoiseMapd("image", window=(0.0, 1.0))({"image": image})
    noisy = RandLowDoseCTd("image", 30.0).set_random_state(seed=0)(case)
    assert "spread" not in noisy
    assert "spread" in case


def test_every_doubling_of_the_noise_is_as_likely():
    noise = RandStrengthd(partial(RandGaussianNoised, "image", prob=1.0, sample_std=False), 0.01, 0.16)
    noise.set_random_state(seed=0)
    flat = torch.zeros(1, 40, 40)
    stds = [float(noise({"image": flat})["image"].std()) for _ in range(400)]
    counts, _ = np.histogram(np.log2(stds), bins=np.log2([0.01, 0.02, 0.04, 0.08, 0.16]))
    assert counts.min() > 70
    assert counts.max() < 130
    assert max(stds) < 0.17


def test_the_same_state_draws_the_same_noise():
    flat = torch.ones(1, 8, 8)
    noise = RandStrengthd(partial(RandRicianNoised, "image", prob=1.0, sample_std=False), 0.01, 0.16)
    first, again = (noise.set_random_state(seed=4)({"image": flat})["image"] for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(noise({"image": flat})["image"], again)


def test_images_in_a_window_of_hounsfield_units_have_the_same_map(a_water_cylinder):
    scaled = (a_water_cylinder[None] + 1000) / 2000
    plain, windowed = (
        QuantumNoiseMapd("image", window=window)({"image": image})["spread"]
        for window, image in (((0.0, 1.0), a_water_cylinder[None]), ((-1000.0, 1000.0), scaled))
    )
    assert torch.allclose(plain, windowed, rtol=1e-3)


def test_a_noise_that_nobody_knows_is_refused():
    with pytest.raises(InputError, match="'noise_model'"):
        TrainingParameters.of({"noise_model": "salt"})
