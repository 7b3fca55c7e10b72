"""What is different where images are made into others: a second network that sees whether the result looks real.

Isola et al., Image-to-Image Translation with Conditional Adversarial Networks, CVPR 2017.
"""

from __future__ import annotations

import math
from typing import Any

from medai.training.recipe.plan import Plan
from medai.training.recipe.target import TARGET

Config = dict[str, Any]
_OWN = "medai.training.components"
_MOST_LAYERS = 3
_WIDTH = 32
# Adam as of the paper, at a fifth of the generator's highest rate: the discriminator's task is the easier one.
_BETAS, _SLOWER = [0.5, 0.999], 5


def training(plan: Plan, common: Config) -> Config:
    """``train.json`` of a translation.

    Parameters
    ----------
    plan : Plan
    common : dict
        As it is for tasks with one network.
    """
    chosen = plan.parameters
    train, checkpoint = common["train"], common["checkpoint"]
    pair = {"keys": ["image", "label"]}
    trainer = {
        "_target_": "GanTrainer",
        "max_epochs": "@epochs",
        "device": "@device",
        "train_data_loader": "@train#dataloader",
        "g_network": "$distributed.normed(@network)",
        "g_optimizer": "$distributed.stepping(@optimizer)",
        "g_loss_function": "$@contest.of_made",
        "g_inferer": "@contest",
        "g_prepare_batch": "$@contest.source",
        "g_update_latents": False,
        "d_network": "@discriminator",
        "d_optimizer": "$distributed.stepping(@d_optimizer)",
        "d_loss_function": "$@contest.of_both",
        "d_prepare_batch": "$@contest.targets",
        "train_handlers": "@train#handlers",
        "decollate": False,
    }
    return {
        **common,
        "discriminator_def": discriminator_def(plan),
        "discriminator": "$@discriminator_def.to(@device)",
        "d_optimizer": {
            "_target_": "torch.optim.Adam",
            "params": "$@discriminator.parameters()",
            "lr": f"$@learning_rate / {_SLOWER}",
            "betas": _BETAS,
        },
        "contest": {
            "_target_": f"{_OWN}.translation.Translation",
            "discriminator": "@discriminator",
            "likeness": "@loss",
            "adversarial": chosen.adversarial,
            "bf16": chosen.bf16,
        },
        "finishing": [
            {"_target_": "CopyItemsd", "keys": TARGET, "names": "label"},
            {"_target_": "SpatialPadd", **pair, "spatial_size": list(plan.patch)},
            {"_target_": "EnsureTyped", **pair, "track_meta": False},
            {"_target_": "SelectItemsd", "keys": ["image", "label", "name"]},
        ],
        "train": {**train, "trainer": trainer},
        "checkpoint": {
            **checkpoint,
            "parts": {**checkpoint["parts"], "discriminator": "@discriminator", "d_optimizer": "@d_optimizer"},
        },
    }


def discriminator_def(plan: Plan) -> Config:
    """MONAI's, which says of every patch whether it is real; as deep as the training's patch allows."""
    layers = max(1, min(_MOST_LAYERS, int(math.log2(min(plan.patch) / 4))))
    return {
        "_target_": "PatchDiscriminator",
        "spatial_dims": plan.dimensions,
        "channels": _WIDTH,
        "in_channels": plan.channels + plan.outputs,
        "num_layers_d": layers,
        "norm": "INSTANCE",
    }
