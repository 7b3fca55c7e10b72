"""How a patient's visits will go on. `run` imports torch; what is here does not."""

from medai.tasks.forecast.choice import check_choice
from medai.tasks.forecast.parameters import ForecastParameters
from medai.tasks.forecast.parameters import ForecastParameters as Parameters

__all__ = ["ForecastParameters", "Parameters", "check_choice"]
