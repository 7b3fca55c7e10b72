"""The noise that a denoiser learns to take away, as configurations of MONAI's transforms, for training and judging."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from medai.training.recipe.plan import Plan

Config = dict[str, Any]
_OWN = "medai.training.components.noise"
_MAP = "spread"
_RANGE = 30


def noise(model: str, strongest: float, window: Sequence[float], *, sample: bool = True) -> list[Config]:
    """Steps that make the image under the key ``"image"`` noisy; all but the last are the same every time.

    Parameters
    ----------
    model : str
        One of `medai.training.parameters.NOISES` but ``"auto"``.
    strongest : float
        Standard deviation in the image's own scale.
    window : (float, float)
        Hounsfield units of the image's values 0 and 1.
    sample : bool
        Whether it is any strength down to a thirtieth of that, every doubling as likely.
    """
    found: list[Config] = []
    if model == "low_dose_ct":
        found += [{"_target_": f"{_OWN}.QuantumNoiseMapd", "keys": "image", "window": list(window), "name": _MAP}]
        added: Config = {"_target_": f"{_OWN}.RandLowDoseCTd", "keys": "image", "name": _MAP}
    else:
        target = {"rician": "RandRicianNoised", "gaussian": "RandGaussianNoised"}[model]
        added = {"_target_": target, "keys": "image", "prob": 1.0, "sample_std": False}
    if not sample:
        return [*found, {**added, "std": strongest}]
    weakest = float(f"{strongest / _RANGE:.2g}")
    any_strength = {"_target_": f"{_OWN}.RandStrengthd", "noise": {**added, "_mode_": "callable"}}
    return [*found, {**any_strength, "weakest": weakest, "strongest": strongest}]


def sees_far(plan: Plan) -> bool:
    """Whether the network takes what goes on as it ends for something that is there, so that it is reflected instead.

    Of an image of two thirds of a window, it left three quarters of the noise otherwise.
    """
    return plan.task == "denoise" and plan.parameters.network == "wavelet_segresnet"


def maps_of(plan: Plan) -> list[str]:
    """Keys of what the noise knows of every voxel, which is moved with the image."""
    return [_MAP] if plan.restores and plan.parameters.noise_model == "low_dose_ct" else []


def mapping(plan: Plan) -> list[Config]:
    """What the noise needs to know of the whole image, before anything random."""
    return _steps(plan)[:-1] if plan.restores else []


def degrading(plan: Plan) -> list[Config]:
    """Keeps the image as the label, makes it noisy, and fills up what is smaller than the network's patch."""
    if not plan.restores:
        return []
    label = {"_target_": "CopyItemsd", "keys": "image", "names": "label"}
    # Now, because nobody fills an image up with noise when the model is used; a denoiser's goes on as it ends.
    filled: Config = {"_target_": "SpatialPadd", "keys": ["image", "label"], "spatial_size": list(plan.patch)}
    if plan.task == "denoise":
        # Unlike "reflect" it can be had for images of any size.
        filled["mode"] = "symmetric" if sees_far(plan) else "edge"
    return [label, _steps(plan)[-1], filled]


def _steps(plan: Plan) -> list[Config]:
    chosen = plan.parameters
    window = chosen.window if chosen.normalization == "ct_window" else (0.0, 1.0)
    return noise(chosen.noise_model, chosen.noise, window)
