"""Whether a model can encode; told without torch, so at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medai.bundles.description import Description
from medai.bundles.encoders import encoder_config
from medai.tasks.choice import usable
from medai.tasks.encode.parameters import EncodeParameters


@dataclass(frozen=True)
class Choice:
    """A model that can do what was asked.

    Parameters
    ----------
    description : Description
        What it is.
    stem : str
        Which of the bundle's configurations has the autoencoder.
    """

    description: Description
    stem: str


def check_choice(bundle: Path, parameters: EncodeParameters) -> Choice:  # noqa: ARG001 - as every task's
    """The model and its autoencoder.

    Raises
    ------
    BundleError
        When it cannot be used, or has no autoencoder.
    """
    return Choice(usable(bundle, "encode"), encoder_config(bundle) or "inference")
