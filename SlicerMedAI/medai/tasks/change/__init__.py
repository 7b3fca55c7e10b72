"""What has changed between visits: brought together, compared. No model is needed. Only `run` imports torch."""

from medai.tasks.change.parameters import ChangeParameters
from medai.tasks.change.parameters import ChangeParameters as Parameters

__all__ = ["ChangeParameters", "Parameters"]
