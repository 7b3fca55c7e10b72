"""A network sees blocks of voxels as wavelet coefficients, and answers in them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.bundle import ConfigParser
from pytorch_optimizer import Muon

from medai.bundles import trust
from medai.errors import MedAIError
from medai.networks import WaveletBlocks
from medai.training.components import matrices
from medai.training.components.beginning import begin_without_norms
from medai.training.recipe import bundle_configs
from medai.training.recipe.augmentation import augmentation
from medai.training.recipe.networks import network

SIZES = {2: (16, 24), 3: (16, 8, 24)}


class Answering(torch.nn.Module):
    """Gives back what it sees: the coarse coefficients of all channels, then the others of each."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels, self.seen = channels, torch.Size()

    def forward(self, blocks: torch.Tensor) -> torch.Tensor:
        self.seen = blocks.shape
        coarse, details = blocks[:, : self.channels, None], blocks[:, self.channels :].unflatten(1, (self.channels, -1))
        return torch.cat([coarse, details], 2).flatten(1, 2)


def mean_of_surroundings(image: np.ndarray) -> np.ndarray:
    """Of 5 blocks along each axis around every block, those beyond the edge as the last one."""
    blocks = image.reshape(image.shape[0] // 2, 2, image.shape[1] // 2, 2).mean((1, 3))
    wide = np.pad(blocks, 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(wide, (5, 5))
    return windows.mean((2, 3)).repeat(2, 0).repeat(2, 1)


@pytest.fixture
def a_denoiser():
    """A network without norms, whose last layer is not nothing."""
    torch.manual_seed(0)
    config = network("wavelet_segresnet", (16, 16, 16), 1, 1, width=4, dropout=0.0, norm=None)
    made = begin_without_norms(ConfigParser({"it": config}).get_parsed_content("it")).eval()
    torch.nn.init.normal_([each for each in made.modules() if isinstance(each, torch.nn.Conv3d)][-1].weight)
    return made.requires_grad_(False)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_nothing_of_an_image_is_lost(dimensions, channels):
    image = torch.rand(2, channels, *SIZES[dimensions])
    inner = Answering(channels)
    differences = WaveletBlocks(inner, dimensions, channels)(image)
    assert inner.seen == (2, channels * 2**dimensions, *(size // 2 for size in SIZES[dimensions]))
    # All but the mean of each block comes back as it was.
    pool = (torch.nn.functional.avg_pool2d, torch.nn.functional.avg_pool3d)[dimensions - 2]
    large = torch.nn.Upsample(scale_factor=2)
    fine = differences - large(pool(differences, 2))
    assert torch.allclose(fine, image - large(pool(image, 2)), atol=1e-5)


def test_of_a_blocks_mean_it_is_told_the_difference_from_its_surroundings():
    image = np.random.default_rng(0).random((16, 24))
    found = WaveletBlocks(torch.nn.Identity(), 2)(torch.tensor(image, dtype=torch.float32)[None, None])[0, 0].numpy()
    means = found.reshape(8, 2, 12, 2).mean((1, 3))
    expected = image.reshape(8, 2, 12, 2).mean((1, 3)) - mean_of_surroundings(image)[::2, ::2]
    assert np.allclose(means, 0.5 * expected, atol=1e-5)


@given(offset=st.floats(-2000, 2000), factor=st.floats(0.01, 100))
def test_what_it_finds_grows_with_the_contrast_and_does_not_know_the_level(offset, factor):
    torch.manual_seed(1)
    config = network("wavelet_segresnet", (16, 16), 1, 1, width=4, dropout=0.0, norm=None, levels=2)
    found = begin_without_norms(ConfigParser({"it": config}).get_parsed_content("it")).eval().requires_grad_(False)
    torch.nn.init.normal_([each for each in found.modules() if isinstance(each, torch.nn.Conv2d)][-1].weight)
    image = torch.rand(1, 1, 16, 16)
    expected = factor * found(image)
    # Of large offsets float32 keeps fewer digits of the image itself.
    error = 1e-5 * (factor + abs(offset)) * float(expected.abs().max()) / factor * 5
    assert torch.allclose(found(factor * image + offset), expected, atol=max(error, 1e-5 * factor))


def test_every_weight_learns(a_denoiser):
    for each in a_denoiser.modules():
        if isinstance(each, torch.nn.Conv3d):
            torch.nn.init.normal_(each.weight, std=0.1)
    a_denoiser.requires_grad_(True)
    a_denoiser(torch.rand(1, 1, 16, 16, 16)).square().mean().backward()
    assert all(bool(weight.grad.any()) for weight in a_denoiser.parameters())


def test_with_steps_of_matrices_it_learns_to_find_noise_in_few_of_them():
    torch.manual_seed(2)
    config = network("wavelet_segresnet", (16, 16), 1, 1, width=8, dropout=0.0, norm=None, levels=2)
    learns = begin_without_norms(ConfigParser({"it": config}).get_parsed_content("it"))
    optimizer = Muon(matrices.apart(list(learns.parameters()), 0.02, 0.0), use_adjusted_lr=True)
    across = torch.linspace(0, 6, 16)
    smooth = (across[:, None] + torch.rand(64, 1, 1, 1) * 6).sin() * (across + torch.rand(64, 1, 1, 1) * 6).cos()
    left = []
    for _ in range(60):
        noise = 0.2 * torch.randn(smooth.shape)
        error = (learns(smooth + noise) + noise).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        left.append(float(error.detach()) / 0.2**2)
    assert left[0] == pytest.approx(1, abs=0.1)
    assert left[-1] < 0.25


def test_coarser_voxels_are_the_means_of_eight(plan_for):
    made = plan_for("denoise", noise_model="low_dose_ct", augmentation=["coarser"], patch_size=[16, 16, 16], patches=3)
    crop, choice = augmentation(made)
    assert crop["_target_"] == "RandSpatialCropSamplesd", "air of a CT is as noisy as all else"
    steps = ConfigParser({"crop": crop, "choice": {**choice, "weights": [0.0, 1.0]}})
    crop, choice = (steps.get_parsed_content(name) for name in ("crop", "choice"))
    volume = torch.rand(1, 40, 36, 34)
    patches = crop.set_random_state(0)({"image": volume, "spread": volume})
    assert len(patches) == 3
    for patch in patches:
        expected = patch["image"].reshape(1, 16, 2, 16, 2, 16, 2).mean((2, 4, 6))
        done = choice(patch)
        assert torch.allclose(torch.as_tensor(done["image"]), expected, atol=1e-5)
        assert torch.allclose(torch.as_tensor(done["spread"]), expected, atol=1e-5)


def test_dark_boxes_have_no_noise_and_bright_ones_do(plan_for):
    made = plan_for("denoise", noise_model="low_dose_ct", augmentation=["cutout"], patch_size=[16, 16, 16])
    _, dark, bright = augmentation(made)
    volume = 0.2 + 0.5 * torch.rand(1, 16, 16, 16)
    for step, value in ((dark, 0.0), (bright, 1.0)):
        found = ConfigParser({"it": {**step, "prob": 1.0}}).get_parsed_content("it")
        done = found.set_random_state(0)({"image": volume.clone(), "spread": volume.clone()})
        changed = torch.as_tensor(done["image"]) != volume
        assert 0 < int(changed.sum()) < volume.numel()
        assert torch.all(torch.as_tensor(done["image"])[changed] == value)
        noisy = torch.as_tensor(done["spread"]) == volume
        assert torch.equal(~noisy, changed) if step is dark else bool(noisy.all())


@pytest.mark.parametrize(
    ("name", "value"), [("network", "$print('here')"), ("channels", "@x"), ("spatial_dims", 4), ("device", "cpu")]
)
def test_a_bundle_may_not_ask_it_for_anything_else(plan_for, configs_in, name, value):
    configs = bundle_configs(plan_for("denoise", network="wavelet_segresnet"), data_source="Tests", licence="None")
    root = configs_in(configs)
    trust.check_config(root)
    path = root / "configs" / "inference.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["network_def"]["submodule"][name] = value
    path.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(MedAIError):
        trust.check_config(root)
