"""A denoiser that begins as a sliding cosine transform, as a configuration of PyTorch's and MONAI's own layers.

What is left of a block's cosine transform after small coefficients were set to zero, averaged over all places of the
block, is already a good denoiser (Guleryuz, IEEE Trans Image Process 16 (2007) 3020; for MR Manjon et al., Med Image
Anal 16 (2012) 18), when the noise is as strong everywhere as the threshold supposes. Its two transforms are
convolutions, so they are learned from there; beside them a small U-Net learns what a transform of blocks cannot know.
"""

from __future__ import annotations

import math
from typing import Any

from medai.training.recipe.networks import network
from medai.training.recipe.plan import Plan

Config = dict[str, Any]
NAME = "shrinkage"
_BLOCK, _STEP = (6, 6, 4), (2, 2, 1)
_THRESHOLD = 2.7  # standard deviations of the noise; 2.7 to 3 are usual for transforms of blocks
_DEPTH = 3


def shrinkage_def(plan: Plan) -> dict[str, Config | str]:
    """Entries of a configuration: the network and the parts it is made of, in which noise has variance 1."""
    kind, channels = f"{plan.dimensions}d", plan.channels
    block, step = _BLOCK[: plan.dimensions], _STEP[: plan.dimensions]
    count = channels * math.prod(block)
    around = {"kernel_size": list(block), "stride": list(step), "padding": [edge - 1 for edge in block], "bias": False}
    refined = network(
        "unet",
        plan.patch,
        2 * channels,
        2 * channels,
        width=plan.parameters.width,
        dropout=plan.parameters.dropout,
        norm=None,
        levels=plan.parameters.levels or _DEPTH,
    )
    mixing = {"_target_": f"torch.nn.Conv{kind}", "in_channels": 2 * channels, "out_channels": channels}
    return {
        "analysis": {"_target_": f"torch.nn.Conv{kind}", "in_channels": channels, "out_channels": count, **around},
        "threshold": {"_target_": "torch.nn.Hardshrink", "lambd": _THRESHOLD},
        "synthesis": {
            "_target_": f"torch.nn.ConvTranspose{kind}",
            "in_channels": count,
            "out_channels": channels,
            **around,
        },
        "transformed": {
            "_target_": "SkipConnection",
            "submodule": "$torch.nn.Sequential(@analysis, @threshold, @synthesis)",
            "mode": "cat",
        },
        "refined": {"_target_": "SkipConnection", "submodule": refined, "mode": "add"},
        "mixed": {**mixing, "kernel_size": 1},
        "network_def": "$torch.nn.Sequential(@transformed, @refined, @mixed)",
    }
