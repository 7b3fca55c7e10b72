"""Networks and heads that MONAI does not have; what a bundle may ask of them is in `medai.bundles.own_transforms`."""

from medai.networks.forecaster import SeriesForecaster

__all__ = ["SeriesForecaster"]
