"""A body of a few blobs, seen from anywhere: its values are known at every place."""

from __future__ import annotations

from collections.abc import Callable

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

CENTERS = np.array([[0, 0, 0], [12, 6, -4], [-10, 9, 7], [3, -13, 8], [-6, -8, -11.0]])
WIDTHS, HEIGHTS = np.array([11, 4, 5, 4, 4.0]), np.array([100, 90, -60, 120, 70.0])


@pytest.fixture(scope="session")
def seen_from() -> Callable[..., tuple[MetaTensor, MetaTensor]]:
    """The body, and a label map of one of its blobs, on a grid, after a rigid motion of the body."""

    def make(affine, shape, motion=None, *, noise: float = 2.0) -> tuple[MetaTensor, MetaTensor]:
        grid = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1)
        back = np.eye(4) if motion is None else np.linalg.inv(motion)
        places = (grid @ affine[:3, :3].T + affine[:3, 3]) @ back[:3, :3].T + back[:3, 3]
        apart = [((places - center) ** 2).sum(axis=-1) for center in CENTERS]
        values = sum(h * np.exp(-d / (2 * w * w)) for h, w, d in zip(HEIGHTS, WIDTHS, apart, strict=True))
        values = values + np.random.default_rng(0).normal(0, noise, shape)
        label = (apart[1] < 7.0**2).astype(np.float32)
        where = torch.tensor(affine, dtype=torch.float64)
        return tuple(MetaTensor(torch.tensor(a[None], dtype=torch.float32), affine=where) for a in (values, label))

    return make


@pytest.fixture(scope="session")
def a_template(seen_from, tmp_path_factory) -> str:
    """The body upright on RAS axes, voxels of 2 mm."""
    affine = np.diag([2, 2, 2, 1.0])
    affine[:3, 3] = -38
    path = tmp_path_factory.mktemp("bundle") / "template.nii.gz"
    nibabel.Nifti1Image(seen_from(affine, (39, 39, 39))[0][0].numpy(), affine).to_filename(path)
    return str(path)
