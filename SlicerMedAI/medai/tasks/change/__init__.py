"""What has changed between two visits. No model is needed; `run` imports torch, what is here does not."""

from medai.tasks.change.parameters import ChangeParameters
from medai.tasks.change.parameters import ChangeParameters as Parameters

__all__ = ["ChangeParameters", "Parameters"]
