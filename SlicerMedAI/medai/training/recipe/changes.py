"""Which random changes a training makes of its images."""

from __future__ import annotations

from medai.errors import InputError
from medai.training.parameters import TrainingParameters

_USUAL = {
    "segment": ("flip", "affine", "intensity", "noise", "blur", "low_resolution"),
    "classify": ("flip", "affine", "intensity", "noise"),
    "detect": ("flip", "affine", "intensity", "noise"),
    "denoise": ("flip", "intensity"),
    "encode": ("flip",),
    "synthesize": (),
    "translate": ("flip", "affine", "intensity"),
}


def changes(given: TrainingParameters, task: str, dimensions: int, modality: str) -> tuple[str, ...]:
    """What was chosen of `medai.training.parameters.AUGMENTATIONS`, or what suits the task.

    Raises
    ------
    InputError
        When one of those chosen is not for this task.
    """
    if given.augmentation is None:
        found = _USUAL[task]
        if task == "segment" and dimensions == 3:
            found = (*found, "elastic", *(("bias_field",) if modality in ("", "MR") else ()))
        return found
    if task == "detect" and "elastic" in given.augmentation:
        raise _unfit(
            "elastic",
            "Boxes cannot follow an image that is bent.",
            f"Use any of: {', '.join(_USUAL[task])}, blur, bias_field, low_resolution.",
        )
    if task not in ("denoise", "encode", "translate") and "coarser" in given.augmentation:
        raise _unfit("coarser", "It is for networks whose result is an image.", "Use 'low_resolution' instead.")
    return given.augmentation


def _unfit(name: str, why: str, remedy: str) -> InputError:
    return InputError(f"'{name}' cannot be used for 'augmentation'.", why, remedy)
