"""Whether a model can denoise; told without torch, so at once."""

from __future__ import annotations

from pathlib import Path

from medai.bundles.description import Description
from medai.tasks.choice import usable
from medai.tasks.denoise.parameters import DenoiseParameters


def check_choice(bundle: Path, parameters: DenoiseParameters) -> Description:  # noqa: ARG001 - as every task's
    """The model, when it gives an image back: a denoiser, or an autoencoder, which leaves the noise out of its code.

    Raises
    ------
    BundleError
        When it cannot be used, or is for something else.
    """
    return usable(bundle, "denoise", "encode")
