"""Random changes that make more of the cases there are, as configurations of MONAI's transforms."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

from medai.training.recipe.noise import maps_of
from medai.training.recipe.orientations import flipped
from medai.training.recipe.plan import Plan
from medai.training.recipe.preprocessing import interpolations, keys_of

Config = dict[str, Any]
_COARSER = 2
_SELDOM = 0.3
_ROOM = 1.25
"""What is cut out is larger than the patch by this much, so that a turned patch has no empty corners."""


def augmentation(plan: Plan) -> list[Config]:
    """All that was chosen, and the patch that is cut out."""
    chosen = plan.parameters.augmentation or ()
    keys = [*keys_of(plan), *maps_of(plan)]
    moved = [n for n in ("affine", "elastic") if n in chosen]
    found = _patches(plan, roomy="affine" in chosen)
    found += [step for name in ("flip", "turn", *moved) if name in chosen for step in _SPATIAL[name](plan, keys)]
    found += intensities(plan)
    if plan.task == "denoise" and "intensity" in chosen:
        # Noise comes after it, so that other images are bright, and other noise strong, in relation to it.
        found.append({"_target_": "RandScaleIntensityd", "keys": "image", "prob": 0.8, "factors": 0.35})
        if plan.parameters.noise_model != "rician":
            found.append({"_target_": "RandShiftIntensityd", "keys": "image", "prob": 0.5, "offsets": 0.5})
    return found


def intensities(plan: Plan) -> list[Config]:
    """What was chosen of the changes that leave everything where it is."""
    chosen = plan.parameters.augmentation or ()
    order = ("low_resolution", "zero_filling", "blur", "bias_field", "intensity", "noise")
    found = [{**_INTENSITY[name], **_chosen(name, plan)} for name in order if name in chosen]
    return [*found, *(_cutout(plan) if "cutout" in chosen else ())]


def _cutout(plan: Plan) -> list[Config]:
    """Boxes of one value (DeVries and Taylor, arXiv 1708.04552), which a denoiser is to leave as they are."""
    common = {"_target_": "RandCoarseDropoutd", "prob": _SELDOM, "holes": 1}
    # As around a field of view, there is no noise in them where it is told how much there is.
    dark = {**common, "keys": ["image", *maps_of(plan)], "fill_value": 0.0}
    bright = {**common, "keys": "image", "fill_value": 1.0}
    return [
        {**dark, "max_holes": 3, "spatial_size": 8, "max_spatial_size": max(min(plan.patch), 9)},
        {**bright, "max_holes": 40, "spatial_size": 1, "max_spatial_size": 6},
    ]


def _patches(plan: Plan, *, roomy: bool) -> list[Config]:
    if plan.task in ("classify", "synthesize", "forecast"):
        return []
    keys = [*keys_of(plan), *maps_of(plan)]
    # "affine" cuts the patch out of this itself.
    size = [math.ceil(edge * _ROOM) for edge in plan.patch] if roomy else list(plan.patch)
    if plan.gives_image:  # small images are filled up when they have their noise, as in use
        return _crops(plan, keys, size)
    found: list[Config] = [{"_target_": "SpatialPadd", "keys": keys, "spatial_size": list(plan.patch)}]
    crop: Config = {
        "_target_": "RandCropByLabelClassesd",
        "keys": keys,
        "label_key": "label",
        "spatial_size": size,
        # Every structure as often as the background, however small it is.
        "num_classes": plan.outputs,
        "num_samples": plan.parameters.patches,
        "allow_smaller": True,
        "warn": False,
    }
    return [*found, crop]


def _crops(plan: Plan, keys: list[str], size: list[int]) -> list[Config]:
    coarser = "coarser" in (plan.parameters.augmentation or ())
    cut = [_COARSER * edge for edge in size] if coarser else size
    common = {"keys": keys, "num_samples": plan.parameters.patches}
    # Where it is bright, for air teaches little; but in a CT it is as noisy as all else.
    anywhere = {"_target_": "RandSpatialCropSamplesd", **common, "roi_size": cut, "random_size": False}
    bright = {"_target_": "RandWeightedCropd", **common, "w_key": "image", "spatial_size": cut}
    found: list[Config] = [anywhere if maps_of(plan) else bright]
    if coarser:
        middle = {"_target_": "CenterSpatialCropd", "keys": keys, "roi_size": size}
        means = {"_target_": "Resized", "keys": keys, "spatial_size": size, "mode": "area"}
        found.append({"_target_": "OneOf", "transforms": [middle, means], "weights": [1 - _SELDOM, _SELDOM]})
    return found


def _flips(plan: Plan, keys: list[str]) -> list[Config]:
    found = [{"_target_": "RandFlipd", "keys": keys, "prob": 0.5, "spatial_axis": axis} for axis in flipped(plan)]
    if plan.gives_image and plan.patch[0] == plan.patch[1]:
        found.append({"_target_": "RandRotate90d", "keys": keys, "prob": 0.5, "max_k": 3})
    return found


def _turns(plan: Plan, keys: list[str]) -> list[Config]:
    """Right-angled turns in every square plane, and mirroring along every axis: they blur nothing."""
    axes = range(plan.dimensions)
    mirrored = [{"_target_": "RandFlipd", "keys": keys, "prob": 0.5, "spatial_axis": axis} for axis in axes]
    square = [plane for plane in combinations(axes, 2) if plan.patch[plane[0]] == plan.patch[plane[1]]]
    # One of the three turns, or none, each as often.
    turned: Config = {"_target_": "RandRotate90d", "keys": keys, "prob": 0.75, "max_k": 3}
    return [*mirrored, *({**turned, "spatial_axes": list(plane)} for plane in square)]


def _affine(plan: Plan, keys: list[str]) -> list[Config]:
    count = 1 if plan.dimensions == 2 else 3
    return [
        {
            "_target_": "RandAffined",
            "keys": keys,
            "prob": 0.8,
            "spatial_size": list(plan.patch),
            "rotate_range": [round(math.radians(plan.parameters.rotation), 4)] * count,
            "translate_range": [round(0.06 * edge, 1) for edge in plan.patch],
            "scale_range": [plan.parameters.scaling] * plan.dimensions,
            "mode": interpolations(plan, keys),
            "padding_mode": ["border", "border" if plan.gives_image else "zeros"][: len(keys)],
        }
    ]


def _elastic(plan: Plan, keys: list[str]) -> list[Config]:
    """Smooth random displacement (Simard et al., ICDAR 2003) of up to 2 % of the patch, too gentle to fold tissue."""
    edge = min(plan.patch)
    low, high = 0.005 * edge, 0.02 * edge
    common = {
        "keys": keys,
        "prob": 0.2,
        "mode": interpolations(plan, keys),
        "padding_mode": ["border", "border" if plan.gives_image else "zeros"][: len(keys)],
    }
    if plan.dimensions == 2:
        spacing = [round(edge / 6, 1)] * 2
        return [{"_target_": "Rand2DElasticd", "spacing": spacing, "magnitude_range": [low, high], **common}]
    sigma = 0.08 * edge
    # Noise loses this much of its strength when it is smoothed.
    loss = math.sqrt(3) * (2 * math.sqrt(math.pi) * sigma) ** 1.5
    magnitude = [round(low * loss, 2), round(high * loss, 2)]
    width = [round(sigma, 2), round(1.4 * sigma, 2)]
    return [{"_target_": "Rand3DElasticd", "sigma_range": width, "magnitude_range": magnitude, **common}]


def _chosen(name: str, plan: Plan) -> Config:
    found: Config = {}
    if name == "low_resolution":
        back = "bilinear" if plan.dimensions == 2 else "trilinear"
        found = {"zoom_range": [plan.parameters.lowest_resolution, 1.0], "upsample_mode": back}
    if plan.task == "denoise" and name in _SMOOTHING:
        # Many scanners interpolate, and how much may be taken out of an image depends on how smooth it is.
        found["prob"] = 0.3
    return found


_SMOOTHING = ("low_resolution", "zero_filling", "blur")
_SPATIAL = {"flip": _flips, "turn": _turns, "affine": _affine, "elastic": _elastic}
_INTENSITY: dict[str, Config] = {
    "low_resolution": {
        "_target_": "RandSimulateLowResolutiond",
        "keys": "image",
        "prob": 0.15,
    },
    # Of the half diagonal of k-space in a cube: from all along an axis to half of that.
    "zero_filling": {"_target_": "RandGibbsNoised", "keys": "image", "prob": 0.15, "alpha": [0.3, 0.65]},
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
