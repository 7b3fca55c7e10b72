"""How close a denoised or synthesised image is to its reference: PSNR, SSIM, mean absolute error."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from monai.networks.layers.simplelayers import separable_filtering
from numpy.typing import NDArray

from medai.errors import GeometryError, InputError
from medai.training.evaluation.checks import finite
from medai.training.evaluation.undefined import Undefined

if TYPE_CHECKING:
    import torch

Image = NDArray[np.generic]
Range = tuple[float, float]

WINDOW = 11
"""Voxels along each axis of SSIM's Gaussian window (sigma 1.5), as in Wang et al.; fewer where the image is thinner."""

_SIGMA = 1.5
_C1, _C2 = 0.01**2, 0.03**2

UNITS = {"psnr_db": "dB", "ssim": "", "mae": ""}


def intensity_range(reference: Image, mask: NDArray[np.bool_] | None = None) -> Range:
    """Lowest and highest value of the reference (inside `mask`), the data range when none is given."""
    inside = finite(reference if mask is None else reference[mask], "voxels of the reference")
    if not inside.size:
        raise InputError(
            "The images cannot be compared.", "The mask is empty.", "Choose another mask, or compare the whole image."
        )
    return float(inside.min()), float(inside.max())


def restoration_metrics(
    reference: Image, restored: Image, data_range: Range | None = None, mask: NDArray[np.bool_] | None = None
) -> dict[str, float]:
    """Metrics of one image.

    Parameters
    ----------
    reference, restored : ndarray, shape (K, J, I) or (J, I)
        On the same grid, in the same intensity scale.
    data_range : (float, float), optional
        Lowest and highest intensity that count, such as -1000 and 1000 HU; the reference's own (inside `mask`) when
        not given. PSNR and SSIM from different ranges cannot be compared, so state it.
    mask : ndarray of bool, same shape, optional
        Voxels that count; for SSIM those windows whose centre is inside.

    Returns
    -------
    dict of str to float
        ``psnr_db``, 20 log10 of the range over the root of the mean squared error, infinite for identical images;
        ``ssim`` (Wang et al., IEEE TIP 2004), over whole windows only, of intensities counted from the low end of the
        range, because the index is made for values from 0 on; ``mae``, in the image's own unit.

    Raises
    ------
    GeometryError
        When the images or the mask are not on the same grid.
    InputError
        When a voxel is not finite, or the range or mask is empty.
    """
    shapes = {np.shape(reference), np.shape(restored), np.shape(mask if mask is not None else reference)}
    if len(shapes) > 1:
        raise GeometryError(
            "The images cannot be compared.",
            f"They (or the mask) have different sizes: {' and '.join(str(s) for s in sorted(shapes))} voxels.",
            "Bring both to the same grid first.",
        )
    if np.ndim(reference) not in (2, 3):
        raise InputError(
            "The images cannot be compared.",
            f"They have {np.ndim(reference)} dimensions; one channel in 2D or 3D is possible.",
            "Compare the channels one by one.",
        )
    y, x = finite(reference, "voxels of the reference"), finite(restored, "voxels of the restored image")
    low, high = data_range or intensity_range(reference, mask)
    inside = np.ones(y.shape, bool) if mask is None else np.asarray(mask, bool)
    if not inside.any() or not high > low:
        raise InputError(
            "The images cannot be compared.",
            f"The data range is {low:g} to {high:g}, with {int(inside.sum())} voxels that count.",
            "Choose a mask that is not empty and a range whose end is above its beginning.",
        )
    error = (x - y)[inside]
    mse = float((error**2).mean())
    return {
        "psnr_db": 20 * math.log10(high - low) - 10 * math.log10(mse) if mse else math.inf,
        "ssim": _ssim((y - low) / (high - low), (x - low) / (high - low), inside),
        "mae": float(np.abs(error).mean()),
    }


def _ssim(y: NDArray[np.float64], x: NDArray[np.float64], inside: NDArray[np.bool_]) -> float:
    """As `monai.metrics.SSIMMetric` has it, whose windows are not separable: axis by axis it takes a hundredth of the
    time in 3D."""
    import torch

    flat = tuple(axis for axis, size in enumerate(y.shape) if size == 1)[: max(0, y.ndim - 2)]
    y, x, inside = np.squeeze(y, flat), np.squeeze(x, flat), np.squeeze(inside, flat)
    window = [min(WINDOW, size - 1 + size % 2) for size in y.shape]
    centres = tuple(slice(w // 2, n - w // 2) for w, n in zip(window, y.shape, strict=True))
    if not inside[centres].any():
        return Undefined("no whole window lies inside the mask")
    kernels = [_gaussian(size) for size in window]

    def mean(image: torch.Tensor) -> torch.Tensor:
        return separable_filtering(image, kernels)[0, 0][centres]

    a, b = (torch.as_tensor(np.ascontiguousarray(image, dtype=np.float32))[None, None] for image in (y, x))
    mean_a, mean_b = mean(a), mean(b)
    variance_a, variance_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    likeness = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    likeness *= (2 * covariance + _C2) / (variance_a + variance_b + _C2)
    return float(likeness.double().numpy()[inside[centres]].mean())


def _gaussian(size: int) -> torch.Tensor:
    import torch

    distance = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
    weights = torch.exp(-((distance / _SIGMA) ** 2) / 2)
    return weights / weights.sum()
