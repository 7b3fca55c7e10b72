"""Steps of the preprocessing that a person chooses, as configurations: the same in training and in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medai.errors import InputError
from medai.tasks.parameters import wrong
from medai.training.parameters import TrainingParameters

if TYPE_CHECKING:
    from medai.training.recipe.plan import Plan

Config = dict[str, Any]
DENOISER = "models/denoiser"
TEMPLATE = "models/template.nii.gz"
"""Where the bundle keeps what its steps need."""

_FITTING = {
    "segment": ("denoise", "bias_field", "align", "crop_foreground"),
    "classify": ("denoise", "bias_field", "align", "crop_foreground"),
    "detect": ("denoise", "bias_field"),
    "denoise": (),
    "encode": (),
}
_MARGIN_MM = 5.0
_BRIGHT = (
    "$lambda image: image >= torch.nan_to_num("
    "(image[image > image.mean()].mean() + image[image <= image.mean()].mean()) / 2, "
    # All of an image of one value.
    "nan=float(image.min()))"
)


def check_steps(given: TrainingParameters, task: str, dimensions: int) -> None:
    """Refuse what a task cannot do with.

    Raises
    ------
    InputError
        When a step would change what the task gives back, pictures are to be aligned, or there are no label maps in
        which a voxel could be unknown.
    """
    if given.ignore_label is not None and task != "segment":
        raise wrong("ignore_label", given.ignore_label, f"It is for label maps, and '{task}' has none")
    unfit = next((step for step in given.preprocessing if step not in _FITTING[task]), None)
    if unfit is not None:
        fitting = f"Use any of: {', '.join(_FITTING[task])}." if _FITTING[task] else "Leave it out."
        raise InputError(
            f"The step '{unfit}' cannot be used for the task '{task}'.",
            "It would change what is given back, and cannot be undone.",
            fitting,
        )
    if "align" in given.preprocessing and dimensions == 2:
        raise InputError(
            "Pictures cannot be aligned.", "They have no place in the patient.", "Leave 'align' out of 'preprocessing'."
        )


def cleaning(plan: Plan) -> list[Config]:
    """What comes first, on the image's own grid: noise would be taken for structure, and spread by resampling."""
    steps: dict[str, Config] = {
        "denoise": {
            "_target_": "medai.transforms.DenoiseByBundled",
            "keys": "image",
            "bundle": f"$@bundle_root + '/{DENOISER}'",
            "device": "@device",
        },
        "bias_field": {"_target_": "medai.transforms.CorrectBiasFieldd", "keys": "image"},
    }
    return [step for name, step in steps.items() if name in plan.parameters.preprocessing]


def alignment(plan: Plan, keys: list[str]) -> list[Config]:
    """In place of a turn to common axes and of resampling to a spacing: the template has both."""
    if "align" not in plan.parameters.preprocessing:
        return []
    return [
        {
            "_target_": "medai.transforms.AlignToTemplated",
            "keys": keys,
            "template": f"$@bundle_root + '/{TEMPLATE}'",
            "mode": ["bilinear", "nearest"][: len(keys)],
            # Not every image has a mask.
            "allow_missing_keys": len(keys) > 1,
        }
    ]


def cropping(plan: Plan, keys: list[str]) -> list[Config]:
    """The bright half, and a margin: above the middle between what is darker than the mean and what is brighter.

    That is a step of Ridler and Calvard's search for a threshold (IEEE Trans. SMC 1978), whatever the scale.
    """
    if "crop_foreground" not in plan.parameters.preprocessing:
        return []
    spacing = plan.parameters.spacing or (1.0,) * plan.dimensions
    return [
        {
            "_target_": "CropForegroundd",
            "keys": keys,
            "source_key": "image",
            "select_fn": _BRIGHT,
            "margin": [max(round(_MARGIN_MM / mm), 2) for mm in spacing],
            "allow_smaller": True,
        }
    ]
