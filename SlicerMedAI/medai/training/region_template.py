"""Make the region template of a model trained on crops (see `medai.engine.locate`).

``python -m medai.training.region_template IMAGES LABELS OUTPUT.mha``
"""

from __future__ import annotations

import argparse
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

SPACING = 2.0
"""mm. Coarse enough to be fast and to forgive small differences of shape between people."""


def region_template(
    images: list[NDArray[np.floating]], labels: list[NDArray[np.integer]], size: tuple[int, int, int]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Mean of crops aligned at their structures' centres.

    Parameters
    ----------
    images, labels : list of ndarray, shape (I, J, K)
        Crops at 1 mm on RAS axes, and their labelmaps (the structure is every value above 0).
    size : tuple of int
        Extent of the template in voxels of 1 mm.

    Returns
    -------
    mean : ndarray, float32
        z-scored mean appearance, 0 where fewer than half of the crops reach.
    mask : ndarray of bool
        Where at least half of the crops reach.
    """
    total = np.zeros(size, np.float32)
    count = np.zeros(size, np.float32)
    for image, label in zip(images, labels, strict=True):
        low, high = np.percentile(image, [0.5, 99.5])
        scaled = np.clip((image.astype(np.float32) - low) / (high - low), 0, 1)
        scaled = (scaled - scaled.mean()) / scaled.std()
        center = np.round(np.argwhere(label > 0).mean(axis=0)).astype(int)
        start = center - np.array(size) // 2
        source = tuple(slice(max(0, s), min(n, s + m)) for s, n, m in zip(start, image.shape, size, strict=True))
        target = tuple(slice(a.start - s, a.stop - s) for a, s in zip(source, start, strict=True))
        total[target] += scaled[source]
        count[target] += 1
    mask = count >= len(images) / 2
    return np.where(mask, total / np.maximum(count, 1), 0).astype(np.float32), mask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path, help="folder of NIfTI crops, 1 mm, RAS")
    parser.add_argument("labels", type=Path, help="folder of labelmaps of the same names")
    parser.add_argument("output", type=Path, help=".mha with two components: mean appearance, mask")
    parser.add_argument("--size", type=int, nargs=3, default=(40, 56, 40), help="mm along R, A, S")
    options = parser.parse_args()
    paths = sorted(options.images.glob("*.nii*"))
    images = [nib.load(path).get_fdata(dtype=np.float32) for path in paths]
    labels = [np.asanyarray(nib.load(options.labels / path.name).dataobj).astype(np.uint8) for path in paths]
    mean, mask = region_template(images, labels, tuple(options.size))
    channels = [sitk.GetImageFromArray(np.ascontiguousarray(a.T, dtype=np.float32)) for a in (mean, mask)]
    size = [int(n / SPACING) for n in options.size]
    # Voxel centres of the coarse grid lie between those of the fine one, about the same centre.
    start = [(n - 1) / 2 - (m - 1) / 2 * SPACING for n, m in zip(options.size, size, strict=True)]
    coarse = [
        sitk.Resample(sitk.DiscreteGaussian(a, 0.7), size, sitk.Transform(), sitk.sitkLinear, start, [SPACING] * 3)
        for a in channels
    ]
    sitk.WriteImage(sitk.Compose(coarse), str(options.output), useCompression=True)


if __name__ == "__main__":
    main()
