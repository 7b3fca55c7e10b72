"""All configurations of a bundle at once."""

from __future__ import annotations

from typing import Any

from medai.bundles.configs import strings
from medai.errors import InputError
from medai.training.recipe import adversarial, detection, forecasting, translation
from medai.training.recipe.courses import ForecastPlan
from medai.training.recipe.evaluating import evaluate_config
from medai.training.recipe.inference import inference_config
from medai.training.recipe.metadata import metadata_config
from medai.training.recipe.plan import Plan
from medai.training.recipe.training import training_config


def bundle_configs(plan: Plan, *, data_source: str, licence: str) -> dict[str, dict[str, Any]]:
    """Configurations by file name, without ``configs/``.

    Parameters
    ----------
    plan : Plan
    data_source : str
        What a person calls the data.
    licence : str
        Of the weights.

    Raises
    ------
    InputError
        When a name would be taken for code.
    """
    metadata = metadata_config(plan, data_source=data_source, licence=licence)
    _check_texts(metadata)
    if plan.synthesizes:
        return {"metadata.json": metadata, **adversarial.configs(plan)}
    configs = {
        "metadata.json": metadata,
        "train.json": training_config(plan),
        "inference.json": inference_config(plan),
        "evaluate.json": evaluate_config(plan),
    }
    if plan.target is not None:
        configs["train.json"] = translation.training(plan, configs["train.json"])
    if plan.task == "detect":
        configs |= detection.configs(plan, configs)
    if isinstance(plan, ForecastPlan):
        configs |= forecasting.configs(plan, configs)
    return {name: config for name, config in configs.items() if config}


def _check_texts(metadata: dict[str, Any]) -> None:
    """Refuse now what would make the trained model one that nobody trusts."""
    for _, text in strings(metadata):
        if text.startswith(("$", "%")):
            raise InputError(
                f"'{text[:80]}' cannot be a name in a model.",
                f"MONAI takes what begins with '{text[0]}' for code.",
                "Give the class, the data or the model another name.",
            )
