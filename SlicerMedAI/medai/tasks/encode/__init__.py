"""Describe an image by the code of an autoencoder. `run` imports torch; what is here does not."""

from medai.tasks.encode.choice import check_choice
from medai.tasks.encode.parameters import EncodeParameters
from medai.tasks.encode.parameters import EncodeParameters as Parameters

__all__ = ["EncodeParameters", "Parameters", "check_choice"]
