"""Networks and inferers that MONAI lacks; what a bundle may ask of them is in `medai.bundles.own_transforms`."""

from medai.networks.ensemble import Ensemble
from medai.networks.forecaster import SeriesForecaster
from medai.networks.mirrored import MirroredRetinaNet
from medai.networks.wavelet import WaveletBlocks
from medai.networks.windows import MirroredWindowInferer

__all__ = ["Ensemble", "MirroredRetinaNet", "MirroredWindowInferer", "SeriesForecaster", "WaveletBlocks"]
