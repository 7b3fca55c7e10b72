"""What every training's configuration has alike: its numbers and places, and what is kept of each epoch."""

from __future__ import annotations

from typing import Any

from medai.training.recipe.plan import Plan

Config = dict[str, Any]
_OWN = "medai.training.components"


def numbers_and_places(plan: Plan) -> Config:
    """Entries that whoever runs the configuration may choose otherwise."""
    chosen = plan.parameters
    return {
        "bundle_root": ".",
        "output_dir": "$@bundle_root + '/runs'",
        "datalist": "$@output_dir + '/datalist.json'",
        "weights": "$@bundle_root + '/models/model.pt'",
        "seed": chosen.seed,
        "epochs": chosen.epochs,
        "batch_size": chosen.batch_size,
        "learning_rate": chosen.learning_rate,
        "val_interval": chosen.validate_every,
        "patience": chosen.patience,
        "num_workers": chosen.workers,
        "cache_rate": chosen.cache,
        "device_name": "auto",
        "device": "$distributed.device(@device_name)",
    }


def keeping(parts: Config) -> Config:
    """The best weights, the scores of every epoch, and the checkpoint from which an interrupted training goes on.

    Parameters
    ----------
    parts : dict
        What a checkpoint consists of, by name.
    """
    return {
        "validation": {
            "_target_": f"{_OWN}.validation.Validation",
            "evaluator": "@validate#evaluator",
            "network": "@kept_network",
            "path": "@weights",
            "every": "@val_interval",
            "patience": "@patience",
        },
        "history": {
            "_target_": f"{_OWN}.history.History",
            "path": "$@output_dir + '/history.json'",
            "evaluator": "@validate#evaluator",
        },
        "checkpoint": {
            "_target_": f"{_OWN}.checkpoint.Checkpoint",
            "path": "$@output_dir + '/checkpoint.pt'",
            "parts": parts,
        },
    }
