"""Make images of random numbers with a MONAI bundle. `run` and `sampling` import torch; what is here does not."""

from medai.tasks.synthesize.choice import check_choice
from medai.tasks.synthesize.parameters import SynthesizeParameters
from medai.tasks.synthesize.parameters import SynthesizeParameters as Parameters

__all__ = ["Parameters", "SynthesizeParameters", "check_choice"]
