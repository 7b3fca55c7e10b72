"""Networks and heads that MONAI does not have; what a bundle may ask of them is in `medai.bundles.own_transforms`."""

from medai.networks.forecaster import SeriesForecaster
from medai.networks.mirrored import MirroredRetinaNet

__all__ = ["MirroredRetinaNet", "SeriesForecaster"]
