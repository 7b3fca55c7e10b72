"""Find things in an image with a MONAI bundle, a box around each. `run` imports torch; what is here does not."""

from medai.tasks.detect.choice import check_choice
from medai.tasks.detect.parameters import DetectParameters
from medai.tasks.detect.parameters import DetectParameters as Parameters

__all__ = ["DetectParameters", "Parameters", "check_choice"]
