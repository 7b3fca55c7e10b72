"""Whether a model can make images, and of what; told without torch, so at once."""

from __future__ import annotations

from pathlib import Path

from medai.bundles.description import Description
from medai.errors import InputError
from medai.tasks.choice import usable
from medai.tasks.synthesize.parameters import SynthesizeParameters


def check_choice(bundle: Path, parameters: SynthesizeParameters) -> Description:
    """The model, when it makes images of what it is asked for.

    Raises
    ------
    BundleError
        When it cannot be used, or is for something else.
    InputError
        When it does not know the condition.
    """
    description = usable(bundle, "synthesize")
    place_of(parameters.condition, description.conditions, description.name)
    return description


def place_of(condition: str | None, conditions: tuple[str, ...], model: str) -> int | None:
    """Place of a condition among those a model knows, however it is capitalised; None when nothing is asked for.

    Raises
    ------
    InputError
        When the model does not know it.
    """
    if condition is None:
        return None
    known = {name.casefold(): place for place, name in enumerate(conditions)}
    if condition.casefold() not in known:
        raise InputError(
            f"The model '{model}' cannot be asked for images of '{condition}'.",
            f"It makes images of: {', '.join(conditions)}." if conditions else "It makes images of one kind only.",
            "Choose one of these, or leave the condition out." if conditions else "Leave the condition out.",
        )
    return known[condition.casefold()]
