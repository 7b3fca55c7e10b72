"""Whether a model can find what was asked for; told without torch, so at once."""

from __future__ import annotations

from pathlib import Path

from medai.bundles.description import Description
from medai.errors import InputError
from medai.tasks.choice import usable
from medai.tasks.detect.parameters import DetectParameters


def check_choice(bundle: Path, parameters: DetectParameters) -> Description:
    """The model, checked against what was asked.

    Raises
    ------
    BundleError
        When the model cannot be used, or is for something else.
    InputError
        When it does not know a class that was chosen.
    """
    description = usable(bundle, "detect")
    known = {name.casefold() for name in description.classes}
    unknown = [name for name in parameters.classes or () if known and name.casefold() not in known]
    if unknown:
        raise InputError(
            f"The model '{description.title}' does not look for '{unknown[0]}'.",
            f"It looks for: {', '.join(description.classes)}.",
            "Choose among these, or leave the choice empty to look for all.",
        )
    return description
