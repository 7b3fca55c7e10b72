"""Steps of a preprocessing that MONAI lacks, as MONAI transforms that a bundle's configuration names.

What a configuration may ask of them without anybody having trusted it is said in `medai.bundles.own_transforms`.
"""

from medai.transforms.alignment import AlignToTemplated
from medai.transforms.bias_field import CorrectBiasFieldd
from medai.transforms.denoising import DenoiseByBundled
from medai.transforms.visits import LoadVisitsd, StackVisitsd

__all__ = ["AlignToTemplated", "CorrectBiasFieldd", "DenoiseByBundled", "LoadVisitsd", "StackVisitsd"]
