"""What every training's configuration has alike: numbers and places, beginning and end, cases, what is kept."""

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


def running(*first: str) -> Config:
    """Begin, alone or with other processes, train what is left to be trained, and end.

    Parameters
    ----------
    *first : str
        What is done in the end of the beginning.
    """
    return {
        "initialize": [
            "$monai.utils.set_determinism(seed=@seed)",
            "$distributed.begin()",
            "$os.makedirs(@output_dir, exist_ok=True)",
            *first,
        ],
        "run": ["$@train#trainer.run() if @checkpoint.resume(@train#trainer) else None"],
        "finalize": ["$distributed.end()"],
    }


def dataset(cases: str, steps: str) -> Config:
    """Cases by these names, through the steps of these names."""
    return {
        "_target_": f"{_OWN}.sampling.EpochDataset",
        "data": cases,
        "transform": steps,
        "seed": "@seed",
        "cache_rate": "@cache_rate",
    }


def batches(weights: str | None, **more: Any) -> Config:
    """This process's share of the batches of an epoch.

    Parameters
    ----------
    weights : str or None
        How often each case is drawn.
    **more
        What `EpochBatches` is told besides.
    """
    return {
        "_target_": f"{_OWN}.sampling.EpochBatches",
        "count": "$len(@train_cases)",
        "batch_size": "@batch_size",
        "seed": "@seed",
        "weights": weights,
        "rank": "$distributed.rank()",
        "world": "$distributed.world()",
        **more,
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
