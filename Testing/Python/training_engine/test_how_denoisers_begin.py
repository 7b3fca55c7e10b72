"""Before its first step a denoiser leaves the image as it is, or is a cosine transform with a threshold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.networks.layers.simplelayers import SkipConnection
from monai.networks.nets import DynUNet
from scipy.fft import dctn, idctn

from medai.training.components.beginning import begin_with_cosines, begin_with_nothing
from medai.training.data import DataItem, DataList, check
from medai.training.parameters import TrainingParameters
from medai.training.recipe import plan
from medai.training.recipe.shrinkage import shrinkage_def


@pytest.fixture
def a_transform(tmp_path) -> torch.nn.Sequential:
    """A denoiser of 3D images, as its training begins."""
    import nibabel as nib

    nib.Nifti1Image(np.random.default_rng(0).random((16, 16, 8)), np.eye(4)).to_filename(tmp_path / "a.nii.gz")
    data = DataList((DataItem("a", {"image": (tmp_path / "a.nii.gz",)}, split="training"),))
    chosen = TrainingParameters(network="shrinkage", width=4, patch_size=(16, 16, 8))
    made = plan(data, check(data), "denoise", chosen, name="a")
    return begin_with_cosines(ConfigParser(shrinkage_def(made)).get_parsed_content("network_def")).eval()


def by_hand(image: np.ndarray, threshold: float) -> np.ndarray:
    """The mean over all blocks of 6 x 6 x 4 voxels, every second one in the plane, of what the threshold leaves."""
    padded = np.pad(image, ((5, 5), (5, 5), (3, 3)))
    total = np.zeros_like(padded)
    for i in range(0, padded.shape[0] - 5, 2):
        for j in range(0, padded.shape[1] - 5, 2):
            for k in range(padded.shape[2] - 3):
                block = (slice(i, i + 6), slice(j, j + 6), slice(k, k + 4))
                coefficients = dctn(padded[block], norm="ortho")
                total[block] += idctn(np.where(np.abs(coefficients) > threshold, coefficients, 0), norm="ortho")
    return (total / (144 / 4))[5:-5, 5:-5, 3:-3]


def test_it_is_the_transform_that_scipy_knows(a_transform):
    image = np.random.default_rng(1).normal(0, 2, (12, 10, 8)).astype(np.float32)
    with torch.inference_mode():
        found = a_transform[0](torch.from_numpy(image)[None, None])[0, 1].numpy()
    assert found == pytest.approx(by_hand(image, 2.7), abs=1e-4)


def test_the_network_beside_it_adds_nothing_yet_and_can_learn_to(a_transform):
    image = torch.randn(1, 1, 16, 16, 8) * 3
    found = a_transform(image)
    assert torch.allclose(found, a_transform[0](image)[:, 1:], atol=1e-5)
    ((found - 1) ** 2).mean().backward()
    assert any(bool(weight.grad.any()) for weight in a_transform[1].parameters())
    assert a_transform[0].submodule[0].weight.grad.any()


def test_noise_that_is_as_strong_as_it_supposes_is_mostly_gone_at_once(a_transform):
    clean = torch.linspace(0, 30, 32).reshape(1, 1, 32, 1, 1).expand(1, 1, 32, 32, 16)
    noisy = clean + torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        left = (a_transform(noisy) - clean)[..., 6:-6, 6:-6, 4:-4].std()
    assert float(left) < 0.35


def test_what_adds_to_its_input_begins_by_adding_nothing():
    inner = DynUNet(3, 1, 1, [3] * 3, [1, 2, 2], [2, 2], filters=[4, 8, 16])
    network = begin_with_nothing(SkipConnection(inner, mode="add")).eval()
    image = torch.randn(1, 1, 16, 16, 16)
    assert torch.equal(network(image), image)
