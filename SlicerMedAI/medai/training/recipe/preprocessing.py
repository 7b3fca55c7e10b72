"""How an image is prepared, as configurations of MONAI's transforms: the same in training and in use."""

from __future__ import annotations

from typing import Any

from medai.training.recipe.plan import Plan

Config = dict[str, Any]


def keys_of(plan: Plan) -> list[str]:
    """Images of a case."""
    return ["image", "label"] if plan.task == "segment" else ["image"]


def loading(plan: Plan) -> list[Config]:
    """Read the images of a data list."""
    if plan.plain_files:
        return [{"_target_": "LoadImaged", "keys": keys_of(plan), "ensure_channel_first": True}]
    return [{"_target_": "medai.training.data.images.LoadSourced", "keys": keys_of(plan)}]


def geometry(plan: Plan, keys: list[str]) -> list[Config]:
    """Put volumes on common axes and spacing; bring images that are classified to one size.

    2D pictures have no axes in the patient and stay as they are.
    """
    found: list[Config] = []
    modes = ["bilinear", "nearest"][: len(keys)]
    if plan.dimensions == 3:
        found.append({"_target_": "Orientationd", "keys": keys, "axcodes": "RAS"})
        if plan.parameters.spacing is not None:
            spacing = list(plan.parameters.spacing)
            found.append({"_target_": "Spacingd", "keys": keys, "pixdim": spacing, "mode": modes})
    if plan.task == "classify":
        size = plan.patch
        if len(set(size)) == 1:
            found.append(
                {
                    "_target_": "Resized",
                    "keys": "image",
                    "spatial_size": size[0],
                    "size_mode": "longest",
                    "anti_aliasing": True,
                }
            )
            found.append({"_target_": "SpatialPadd", "keys": "image", "spatial_size": list(size)})
        else:
            found.append({"_target_": "Resized", "keys": "image", "spatial_size": list(size), "anti_aliasing": True})
    return found


def scaling(plan: Plan) -> list[Config]:
    """Bring intensities to a common scale."""
    kind = plan.parameters.normalization
    low, high = plan.parameters.window
    percentiles: Config = {
        "_target_": "ScaleIntensityRangePercentilesd",
        "keys": "image",
        "lower": 0.5,
        "upper": 99.5,
        "b_min": 0.0,
        "b_max": 1.0,
        # A denoiser gives the image back on its own scale, to which what was cut off could not return.
        "clip": plan.task != "denoise",
        "channel_wise": plan.channels > 1 and plan.task != "denoise",
    }
    window: Config = {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": low, "a_max": high}
    window |= {"b_min": 0.0, "b_max": 1.0, "clip": plan.task != "denoise"}
    return {"none": [], "percentile": [percentiles], "zscore": [percentiles], "ct_window": [window]}[kind]


def centring(plan: Plan) -> list[Config]:
    """The last step, after random changes too."""
    if plan.parameters.normalization != "zscore":
        return []
    return [{"_target_": "NormalizeIntensityd", "keys": "image", "channel_wise": True}]


def label_values(plan: Plan) -> list[Config]:
    """Number the structures of the label maps from 1, where the data number them otherwise."""
    values = list(plan.classes)
    if plan.task != "segment" or values == list(range(1, len(values) + 1)):
        return []
    return [
        {
            "_target_": "MapLabelValued",
            "keys": "label",
            "orig_labels": [0, *values],
            "target_labels": list(range(len(values) + 1)),
        }
    ]
