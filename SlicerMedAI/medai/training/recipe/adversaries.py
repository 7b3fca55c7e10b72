"""The two networks of a generative adversarial training, as configurations of MONAI's and PyTorch's own parts."""

from __future__ import annotations

import math
from typing import Any

from medai.training.recipe.networks import halvings, width_of
from medai.training.recipe.plan import Plan

Config = dict[str, Any]
_LEAKY = ["leakyrelu", {"negative_slope": 0.2}]
_NEAREST = {"interp_mode": "nearest", "align_corners": None}
_LAYER = ["group", {"num_groups": 1}]
PACKED = 2
"""Cases that the discriminator sees at once, see `medai.training.components.adversarial`."""
_MOST = 8
"""Layers have at most this many times the channels of the finest."""


def generator_def(plan: Plan) -> dict[str, Config | str]:
    """Entries of a configuration: the generator and the parts it is made of.

    Each level looks around with a residual unit, then doubles the resolution. The last one, where most voxels are, has
    no unit of its own: the channels of a cell become its voxels (Shi et al., CVPR 2016), smoothed so that no
    checkerboard is seen (Aitken et al., arXiv 1707.02937). Layer norm knows no batch, so an image is the same
    whatever it is made together with; and it leaves channels as strong against each other as the code has made them,
    from which images differ as a whole.
    """
    strides = _halvings(plan)[::-1]
    start = [size // math.prod(stride[axis] for stride in strides) for axis, size in enumerate(plan.patch)]
    widths = _widths(plan)[::-1]
    common = {"spatial_dims": plan.dimensions}
    parts: dict[str, Config | str] = {
        "spread": {
            "_target_": "torch.nn.Linear",
            "in_features": plan.code_length,
            "out_features": widths[0] * math.prod(start),
        },
        "folded": f"$monai.networks.layers.Reshape({', '.join(map(str, [widths[0], *start]))})",
    }
    for level, (width, stride) in enumerate(zip(widths, strides, strict=True)):
        last = level + 1 == len(widths)
        unit = {"_target_": "ResidualUnit", **common, "in_channels": width, "out_channels": width}
        parts[f"look_{level}"] = {**unit, "act": _LEAKY, "norm": _LAYER}
        doubled = {"mode": "pixelshuffle", "scale_factor": 2, "apply_pad_pool": True}
        if not last:
            doubled = {"mode": "nontrainable", "scale_factor": list(stride), **_NEAREST}
        channels = {"in_channels": width, "out_channels": plan.outputs if last else widths[level + 1]}
        parts[f"double_{level}"] = {"_target_": "UpSample", **common, **channels, **doubled}
    return {**parts, "network_def": f"$torch.nn.Sequential({', '.join(f'@{name}' for name in parts)})"}


def discriminator_def(plan: Plan) -> Config:
    """MONAI's discriminator, which halves its input until little is left, and says one number of two cases."""
    strides, widths = _halvings(plan), _widths(plan)
    return {
        "_target_": "Discriminator",
        "in_shape": [PACKED * (plan.outputs + len(plan.conditions)), *plan.patch],
        "channels": [*(2 * width for width in widths), 2 * widths[-1]],
        "strides": [*(stride[0] if len(set(stride)) == 1 else list(stride) for stride in strides), 1],
        "num_res_units": 0,
        "act": _LEAKY,
        "norm": None,
        "dropout": plan.parameters.dropout or None,
        "last_act": None,
    }


def _halvings(plan: Plan) -> list[tuple[int, ...]]:
    return halvings(plan.patch, max(plan.parameters.levels, 2) if plan.parameters.levels else 0)


def _widths(plan: Plan) -> list[int]:
    """Channels after every halving, the finest first."""
    width = width_of("generator", plan.parameters.width)
    return [width * min(2**level, _MOST) for level in range(len(_halvings(plan)))]
