"""What the training configurations made here name beside MONAI's own parts."""

# MONAI takes names from a package that it has imported, but imports no module of it by itself.
from medai.training.components import (
    adversarial,
    beginning,
    distributed,
    growth,
    imagining,
    matrices,
    precision,
    sampling,
)

__all__ = ["adversarial", "beginning", "distributed", "growth", "imagining", "matrices", "precision", "sampling"]
