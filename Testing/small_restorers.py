"""Small bundles that give images back, with weights set by hand or at random: denoisers and autoencoders."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from small_bundles import INVERT, LOAD, SAVE, Recipe

BACK = (
    "$lambda d: {**d, 'pred': (d['pred'] - d['image'].mean()) * (d['raw'].std() / d['image'].std()) + d['raw'].mean()}"
)


def denoiser(
    dimensions: int = 3, channels: int = 1, kernel: int = 1, pre: list[dict[str, Any]] | None = None
) -> Recipe:
    """A model that gives images back: halfway to the middle of their range, or with larger kernels their means."""
    invert = [INVERT] if dimensions == 3 else []
    return Recipe(
        network={
            "_target_": f"torch.nn.Conv{dimensions}d",
            "in_channels": channels,
            "out_channels": channels,
            "kernel_size": kernel,
            "padding": kernel // 2,
            "padding_mode": "replicate",
            "groups": channels,
            "bias": kernel == 1,
        },
        pre=[
            LOAD,
            *(pre or []),
            {"_target_": "CopyItemsd", "keys": "image", "names": "raw"},
            {"_target_": "ScaleIntensityd", "keys": "image"},
        ],
        post=[BACK, *invert, SAVE | {"output_dtype": "$numpy.float32"}],  # type: ignore[list-item]
        inferer={
            "_target_": "SlidingWindowInferer",
            "roi_size": [16] * dimensions,
            "sw_batch_size": 2,
            "overlap": 0.25,
        },
        labels={},
        scale_and_offset=((0.5, 0.25),) * channels if kernel == 1 else None,
        even=kernel > 1,
        about={"name": "Halver", "task": "Denoising", "medai": {"task": "denoise"}},
        inputs={"spatial_shape": ["8*n"] * dimensions},
    )


def autoencoder(dimensions: int = 3, pre: list[dict[str, Any]] | None = None) -> Recipe:
    """A model with a code of 6 numbers for every cell of 4 voxels along each axis."""
    return replace(
        denoiser(dimensions, pre=pre),
        network={
            "_target_": "AutoEncoder",
            "spatial_dims": dimensions,
            "in_channels": 1,
            "out_channels": 1,
            "channels": [8, 6],
            "strides": [2, 2],
            "norm": "batch",
        },
        scale_and_offset=None,
        about={"name": "Coder", "task": "Autoencoding", "medai": {"task": "encode"}},
    )


def translator(dimensions: int = 3, pre: list[dict[str, Any]] | None = None) -> Recipe:
    """A model that makes the negative of an image, from 1000 where it is darkest to 200 where it is brightest."""
    made = denoiser(dimensions, pre=pre)
    scaled = {"_target_": "ScaleIntensityRanged", "keys": "pred", "a_min": 0.0, "a_max": 1.0}
    return replace(
        made,
        post=[{**scaled, "b_min": 200.0, "b_max": 1000.0}, *made.post[1:]],
        scale_and_offset=((-1.0, 1.0),),
        about={"name": "Negative", "task": "Translation", "medai": {"task": "translate"}},
    )
