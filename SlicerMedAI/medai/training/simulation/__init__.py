"""Series of visits that never took place, made of single real images: for learning and testing, never for findings.

Everything that is written here says so: file names, the table of visits, and a note beside it.
"""

from medai.training.simulation.atrophy import Shrinkage
from medai.training.simulation.folder import simulate
from medai.training.simulation.subjects import Simulation

__all__ = ["Shrinkage", "Simulation", "simulate"]
