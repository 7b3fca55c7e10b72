"""Show what in an image speaks for a classifier's finding. `run` imports torch; what is here does not."""

from medai.tasks.explain.choice import check_choice
from medai.tasks.explain.parameters import ExplainParameters
from medai.tasks.explain.parameters import ExplainParameters as Parameters

__all__ = ["ExplainParameters", "Parameters", "check_choice"]
