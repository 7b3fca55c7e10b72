"""Make an image of another contrast out of one, with a MONAI bundle. `run` imports torch; what is here does not."""

from medai.tasks.translate.choice import check_choice
from medai.tasks.translate.parameters import TranslateParameters
from medai.tasks.translate.parameters import TranslateParameters as Parameters

__all__ = ["Parameters", "TranslateParameters", "check_choice"]
