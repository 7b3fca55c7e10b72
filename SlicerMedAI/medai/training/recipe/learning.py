"""How a network learns, where a person leaves it open: by which loss, in which steps."""

from __future__ import annotations

from typing import Any

from medai.errors import InputError
from medai.training.parameters import TrainingParameters

_LOSSES = {
    "segment": ("dice_ce", "dice", "cross_entropy", "focal"),
    "classify": ("cross_entropy", "focal"),
    "detect": ("focal", "cross_entropy"),
    "denoise": ("l1", "mse", "ssim", "rms", "psnr"),
    "encode": ("l1", "mse", "ssim", "rms", "psnr"),
    "synthesize": ("hinge", "least_squares"),
    "translate": ("l1", "mse", "ssim"),
}
_CODE_LENGTH = 64
_AVERAGING = 0.005


def how_to_learn(given: TrainingParameters, task: str) -> dict[str, Any]:
    """Loss, learning rate and its schedule, moving average and length of a code, by their names.

    Two networks in a contest take smaller steps that do not shrink, and an average over them: neither ever arrives.

    Raises
    ------
    InputError
        When the loss is for another task.
    """
    fitting = _LOSSES[task]
    loss = fitting[0] if given.loss == "auto" else given.loss
    if loss not in fitting:
        raise InputError(
            f"'{loss}' cannot be used for 'loss'.",
            f"A training for '{task}' cannot be judged by it.",
            f"Use one of: {', '.join(fitting)}.",
        )
    contest = task == "synthesize"
    usual = "constant" if contest else "one_cycle"
    return {
        "loss": loss,
        "learning_rate": given.learning_rate or (0.0004 if contest else 0.001),
        "schedule": usual if given.schedule == "auto" else given.schedule,
        "code": given.code or (_CODE_LENGTH if contest else 0),
        "ema": given.ema or (_AVERAGING if contest else 0.0),
    }
