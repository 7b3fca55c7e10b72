"""From data and parameters to the configurations of a MONAI bundle: training is running them."""

from medai.training.recipe.bundle import bundle_configs
from medai.training.recipe.courses import ForecastPlan, forecast_plan
from medai.training.recipe.plan import TASKS, Plan, plan

__all__ = ["TASKS", "ForecastPlan", "Plan", "bundle_configs", "forecast_plan", "plan"]
