"""Tell what an image shows, with probabilities. `run` imports torch; what is here does not."""

from medai.tasks.classify.choice import check_choice
from medai.tasks.classify.parameters import ClassifyParameters
from medai.tasks.classify.parameters import ClassifyParameters as Parameters

__all__ = ["ClassifyParameters", "Parameters", "check_choice"]
