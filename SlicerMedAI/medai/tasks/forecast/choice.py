"""Whether a model can forecast; told without torch, so at once."""

from __future__ import annotations

from pathlib import Path

from medai.bundles.description import Description
from medai.tasks.choice import usable
from medai.tasks.forecast.parameters import ForecastParameters


def check_choice(bundle: Path, parameters: ForecastParameters) -> Description:  # noqa: ARG001 - as every task's
    """The model, when it forecasts.

    Raises
    ------
    BundleError
        When it cannot be used, or is for something else.
    """
    return usable(bundle, "forecast")
