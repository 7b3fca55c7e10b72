"""PSNR and SSIM against MONAI, scipy and numbers by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.metrics import PSNRMetric, SSIMMetric
from scipy import ndimage

from medai.errors import GeometryError, InputError
from medai.training.evaluation.restoration import intensity_range, restoration_metrics


@pytest.fixture
def images(rng):
    """A smooth image from 0 to 1 and a noisy copy."""
    clean = ndimage.gaussian_filter(rng.random((16, 18, 20)), 1)
    clean = (clean - clean.min()) / np.ptp(clean)
    return clean, clean + rng.normal(0, 0.1, clean.shape)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_metrics_equal_monai(images, dimensions):
    y, x = (image[0] if dimensions == 2 else image for image in images)
    tensors = [torch.as_tensor(a[None, None].copy(), dtype=torch.float32) for a in (x, y)]
    found = restoration_metrics(y, x, (0, 1))
    assert found["psnr_db"] == pytest.approx(PSNRMetric(1.0)(*tensors).item(), rel=1e-5)
    assert found["ssim"] == pytest.approx(SSIMMetric(dimensions, 1.0)(*tensors).item(), rel=1e-4)


def test_ssim_equals_its_definition(images):
    y, x = (image[3] for image in images)
    weights = np.exp(-(np.arange(-5, 6.0) ** 2) / (2 * 1.5**2))
    kernel = np.outer(weights, weights) / weights.sum() ** 2

    def smooth(a):
        return ndimage.correlate(a, kernel)[5:-5, 5:-5]

    mx, my = smooth(x), smooth(y)
    vx, vy, cov = smooth(x * x) - mx**2, smooth(y * y) - my**2, smooth(x * y) - mx * my
    expected = (2 * mx * my + 1e-4) * (2 * cov + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
    assert restoration_metrics(y, x, (0, 1))["ssim"] == pytest.approx(expected.mean(), rel=1e-4)


def test_psnr_equals_a_case_computed_by_hand():
    found = restoration_metrics(np.zeros((12, 12)), np.full((12, 12), 10.0), (-1000, 1000))
    assert found["psnr_db"] == pytest.approx(20 * math.log10(2000 / 10))
    assert found["mae"] == 10


def test_a_shift_and_scale_of_both_images_and_the_range_changes_nothing(images):
    y, x = images
    plain, hounsfield = (
        restoration_metrics(y, x, (0, 1)),
        restoration_metrics(y * 2000 - 1000, x * 2000 - 1000, (-1000, 1000)),
    )
    assert hounsfield["psnr_db"] == pytest.approx(plain["psnr_db"])
    assert hounsfield["ssim"] == pytest.approx(plain["ssim"], rel=1e-4)


def test_only_voxels_in_the_mask_count(images):
    y, x = images
    mask = np.zeros(y.shape, bool)
    mask[4:12, 4:14, 4:16] = True
    spoiled = np.where(mask, x, 50.0)
    found = restoration_metrics(y, spoiled, (0, 1), mask)
    assert found["psnr_db"] == pytest.approx(-10 * math.log10(((x - y)[mask] ** 2).mean()))
    inner = np.zeros(y.shape, bool)
    inner[7:9, 8, 9] = True
    assert restoration_metrics(y, x, (0, 1), inner)["ssim"] != restoration_metrics(y, x, (0, 1))["ssim"]
    edge = np.zeros(y.shape, bool)
    edge[0] = True
    assert "no whole window" in restoration_metrics(y, x, (0, 1), edge)["ssim"].reason


def test_the_range_is_the_references_own_unless_given(images):
    y, x = images
    assert intensity_range(y * 7) == pytest.approx((0, 7))
    assert restoration_metrics(y * 7, x * 7) == pytest.approx(restoration_metrics(y * 7, x * 7, (0, 7)), rel=1e-6)


def test_an_identical_image_is_perfect(images):
    found = restoration_metrics(images[0], images[0])
    assert (found["psnr_db"], found["mae"]) == (math.inf, 0)
    assert found["ssim"] == pytest.approx(1, abs=1e-5)


def test_images_thinner_than_the_window_still_have_an_ssim(images):
    y, x = (image[:4] for image in images)
    assert 0 < restoration_metrics(y, x, (0, 1))["ssim"] < 1
    flat = restoration_metrics(y[:1], x[:1], (0, 1))
    assert flat["ssim"] == pytest.approx(restoration_metrics(y[0], x[0], (0, 1))["ssim"])


def test_images_that_cannot_be_compared_are_refused(images):
    y, x = images
    with pytest.raises(GeometryError, match="different sizes"):
        restoration_metrics(y, x[1:])
    with pytest.raises(InputError, match="not finite"):
        restoration_metrics(y, np.where(x > 0.9, np.nan, x))
    with pytest.raises(InputError, match="data range"):
        restoration_metrics(y, x, (1, 1))
    with pytest.raises(InputError, match="mask is empty"):
        restoration_metrics(y, x, mask=np.zeros(y.shape, bool))
    with pytest.raises(InputError, match="one channel"):
        restoration_metrics(y[..., None], x[..., None])
