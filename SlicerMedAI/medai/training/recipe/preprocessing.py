"""How an image is prepared, as configurations of MONAI's transforms: the same in training and in use."""

from __future__ import annotations

from typing import Any

from medai.training.recipe.chosen_steps import alignment, cropping
from medai.training.recipe.guidance import MASK
from medai.training.recipe.plan import Plan
from medai.training.recipe.target import TARGET
from medai.training.recipe.unknown import number_of_unknown

Config = dict[str, Any]

_PERCENTILES = {"lower": 0.5, "upper": 99.5, "b_min": 0.0, "b_max": 1.0}
_PEAK = "$lambda d: {**d, 'image': d['image'] / max(float(numpy.percentile(d['image'], 99.5)), 1e-6)}"


def keys_of(plan: Plan) -> list[str]:
    """Images of a case."""
    more = ["label"] if plan.maps else [MASK] if plan.guided else [TARGET] if plan.target is not None else []
    return ["image", *more]


def interpolations(plan: Plan, keys: list[str]) -> list[str]:
    """How each of the images is moved: label maps keep their values."""
    return ["bilinear", "nearest" if plan.target is None else "bilinear"][: len(keys)]


def loading(plan: Plan) -> list[Config]:
    """Read the images of a data list."""
    if plan.plain_files:
        return [{"_target_": "LoadImaged", "keys": keys_of(plan), "ensure_channel_first": True}]
    return [{"_target_": "medai.training.data.images.LoadSourced", "keys": keys_of(plan)}]


def geometry(plan: Plan, keys: list[str]) -> list[Config]:
    """Put volumes on common axes and spacing; bring images that are classified to one size.

    2D pictures have no axes in the patient and stay as they are, and so does what is denoised.
    """
    found: list[Config] = []
    modes = interpolations(plan, keys)
    if aligned := alignment(plan, keys):
        found += aligned
    elif not plan.keeps_grid:
        found.append({"_target_": "Orientationd", "keys": keys, "axcodes": "RAS"})
        if plan.parameters.spacing is not None:
            spacing = list(plan.parameters.spacing)
            found.append({"_target_": "Spacingd", "keys": keys, "pixdim": spacing, "mode": modes})
    found += cropping(plan, keys)
    if plan.task == "detect" and plan.dimensions == 2:
        longest = {"spatial_size": max(plan.patch), "size_mode": "longest", "anti_aliasing": True}
        return [{"_target_": "Resized", "keys": "image", **longest}]
    if plan.synthesizes and plan.dimensions == 3:  # at its own scale, as much of its middle as is made of it
        found.append({"_target_": "ResizeWithPadOrCropd", "keys": keys, "spatial_size": list(plan.patch)})
    elif plan.task == "classify" or plan.synthesizes:
        found += _one_size(plan, keys)
    return found


def _one_size(plan: Plan, keys: list[str]) -> list[Config]:
    """A cube or square keeps the image's proportions; other sizes are filled by it."""
    size = list(plan.patch)
    kept = len(set(size)) == 1
    modes = ["bilinear" if plan.dimensions == 2 else "trilinear", "nearest"]
    resized: Config = {"_target_": "Resized", "keys": keys, "spatial_size": size[0] if kept else size}
    resized |= {"mode": modes[: len(keys)], "anti_aliasing": [True, False][: len(keys)]}
    if not kept:
        return [resized]
    return [{**resized, "size_mode": "longest"}, {"_target_": "SpatialPadd", "keys": keys, "spatial_size": size}]


def scaling(plan: Plan) -> list[Config]:
    """Bring intensities to a common scale."""
    kind = plan.parameters.normalization
    low, high = plan.parameters.window
    percentiles: Config = {
        "_target_": "ScaleIntensityRangePercentilesd",
        "keys": "image",
        **_PERCENTILES,
        # A denoiser gives the image back on its own scale, to which what was cut off could not return.
        "clip": not plan.gives_image,
        "channel_wise": plan.channels > 1 and not plan.restores,
    }
    window: Config = {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": low, "a_max": high}
    window |= {"b_min": 0.0, "b_max": 1.0, "clip": not plan.gives_image}
    return {
        "none": [],
        "percentile": [percentiles],
        "zscore": [percentiles],
        "peak": [_PEAK],
        "ct_window": [window],
    }[kind]  # type: ignore[return-value]  # MONAI takes expressions for transforms


def target_scaling(plan: Plan) -> list[Config]:
    """The same of the images that are to be made, each by its own percentiles."""
    if plan.target is None:
        return []
    return [{"_target_": "ScaleIntensityRangePercentilesd", "keys": TARGET, **_PERCENTILES, "clip": False}]


def centring(plan: Plan) -> list[Config]:
    """The last step, after random changes too."""
    if plan.parameters.normalization != "zscore" or plan.task == "denoise":
        return []
    return [{"_target_": "NormalizeIntensityd", "keys": "image", "channel_wise": True}]


def label_values(plan: Plan) -> list[Config]:
    """Number the structures of the label maps from 1, where the data number them otherwise."""
    values, unknown = list(plan.classes), plan.parameters.ignore_label
    if not plan.maps or (unknown is None and values == list(range(1, len(values) + 1))):
        return []
    numbered = {value: number for number, value in enumerate([0, *values])}
    if unknown is not None:
        numbered[unknown] = number_of_unknown(plan)
    return [
        {
            "_target_": "MapLabelValued",
            "keys": "label",
            "orig_labels": list(numbered),
            "target_labels": list(numbered.values()),
        }
    ]
