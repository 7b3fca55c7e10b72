"""Random changes that make more of the cases there are, as configurations of MONAI's transforms."""

from __future__ import annotations

import math
from typing import Any

from medai.training.recipe.plan import Plan
from medai.training.recipe.preprocessing import keys_of

Config = dict[str, Any]
_ROOM = 1.25
"""What is cut out is larger than the patch by this much, so that a turned patch has no empty corners."""


def augmentation(plan: Plan) -> list[Config]:
    """All that was chosen, and the patch that is cut out."""
    chosen = plan.parameters.augmentation or ()
    keys = keys_of(plan)
    moved = [n for n in ("affine", "elastic") if n in chosen]
    found = _patches(plan, roomy="affine" in chosen)
    found += [step for name in ("flip", *moved) if name in chosen for step in _SPATIAL[name](plan, keys)]
    for name in ("low_resolution", "blur", "bias_field", "intensity", "noise"):
        if name in chosen:
            found.append(_INTENSITY[name])
    return found


def _patches(plan: Plan, *, roomy: bool) -> list[Config]:
    if plan.task == "classify":
        return []
    keys = keys_of(plan)
    # "affine" cuts the patch out of this itself.
    size = [math.ceil(edge * _ROOM) for edge in plan.patch] if roomy else list(plan.patch)
    found: list[Config] = [{"_target_": "SpatialPadd", "keys": keys, "spatial_size": list(plan.patch)}]
    if plan.task == "denoise":
        return [*found, {"_target_": "RandSpatialCropd", "keys": keys, "roi_size": size, "random_size": False}]
    crop: Config = {
        "_target_": "RandCropByLabelClassesd",
        "keys": keys,
        "label_key": "label",
        "spatial_size": size,
        # Every structure as often as the background, however small it is.
        "num_classes": plan.outputs,
        "num_samples": 1,
        "allow_smaller": True,
        "warn": False,
    }
    return [*found, crop]


def _flips(plan: Plan, keys: list[str]) -> list[Config]:
    axes = range(1) if plan.task == "classify" else range(plan.dimensions)
    return [{"_target_": "RandFlipd", "keys": keys, "prob": 0.5, "spatial_axis": axis} for axis in axes]


def _affine(plan: Plan, keys: list[str]) -> list[Config]:
    count = 1 if plan.dimensions == 2 else 3
    return [
        {
            "_target_": "RandAffined",
            "keys": keys,
            "prob": 0.8,
            "spatial_size": list(plan.patch),
            "rotate_range": [0.26] * count,
            "translate_range": [round(0.06 * edge, 1) for edge in plan.patch],
            "scale_range": [0.15] * plan.dimensions,
            "mode": ["bilinear", "nearest"][: len(keys)],
            "padding_mode": ["border", "zeros"][: len(keys)],
        }
    ]


def _elastic(_: Plan, keys: list[str]) -> list[Config]:
    return [
        {
            "_target_": "RandGridDistortiond",
            "keys": keys,
            "prob": 0.2,
            "num_cells": 4,
            "distort_limit": 0.08,
            "mode": ["bilinear", "nearest"][: len(keys)],
            "padding_mode": ["border", "zeros"][: len(keys)],
        }
    ]


_SPATIAL = {"flip": _flips, "affine": _affine, "elastic": _elastic}
_INTENSITY: dict[str, Config] = {
    "low_resolution": {
        "_target_": "RandSimulateLowResolutiond",
        "keys": "image",
        "prob": 0.15,
        "zoom_range": [0.5, 1.0],
    },
    "blur": {
        "_target_": "RandGaussianSmoothd",
        "keys": "image",
        "prob": 0.15,
        "sigma_x": [0.3, 1.0],
        "sigma_y": [0.3, 1.0],
        "sigma_z": [0.3, 1.0],
    },
    "bias_field": {"_target_": "RandBiasFieldd", "keys": "image", "prob": 0.3, "coeff_range": [0.0, 0.25]},
    "intensity": {"_target_": "RandAdjustContrastd", "keys": "image", "prob": 0.4, "gamma": [0.7, 1.5]},
    "noise": {"_target_": "RandGaussianNoised", "keys": "image", "prob": 0.3, "std": 0.05},
}
