"""Take the noise out of an image with a MONAI bundle. `run` imports torch; what is here does not."""

from medai.tasks.denoise.choice import check_choice
from medai.tasks.denoise.parameters import DenoiseParameters
from medai.tasks.denoise.parameters import DenoiseParameters as Parameters

__all__ = ["DenoiseParameters", "Parameters", "check_choice"]
