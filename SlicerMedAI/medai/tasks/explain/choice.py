"""Whether a model can be explained as asked; told without torch, so at once."""

from __future__ import annotations

from pathlib import Path

from medai.bundles.description import Description
from medai.errors import InputError
from medai.tasks.classify.choice import one_model
from medai.tasks.explain.parameters import ExplainParameters


def check_choice(bundle: Path, parameters: ExplainParameters) -> Description:
    """The model, checked against what was asked.

    Raises
    ------
    BundleError
        When it cannot be used, or is no classifier.
    InputError
        When it does not know the class that is to be explained, or takes no single slices.
    """
    description = one_model(bundle, parameters)
    wanted = parameters.target_class
    known = [name.casefold() for name in description.classes]
    if wanted is not None and known and wanted.casefold() not in known:
        raise InputError(
            f"The model '{description.title}' has no class called '{wanted}'.",
            f"It knows: {', '.join(description.classes)}.",
            "Choose one of them, or leave the choice empty.",
        )
    return description
