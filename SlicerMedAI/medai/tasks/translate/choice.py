"""Whether a model makes images out of images; told without torch, so at once."""

from __future__ import annotations

from pathlib import Path

from medai.bundles.description import Description
from medai.tasks.choice import usable
from medai.tasks.translate.parameters import TranslateParameters


def check_choice(bundle: Path, parameters: TranslateParameters) -> Description:  # noqa: ARG001 - as every task's
    """The model, when it is for translation.

    Raises
    ------
    BundleError
        When it cannot be used, or is for something else.
    """
    return usable(bundle, "translate")
