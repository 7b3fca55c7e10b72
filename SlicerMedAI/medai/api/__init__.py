"""One call per task, with the same names from Slicer's Python console, a notebook, the command line and the panels.

Nothing here imports torch.
"""

from medai.api.choosing import DEFAULT_MODEL, Model, models
from medai.api.images import Image, is_node
from medai.api.preparing import prepare
from medai.api.running import run_here
from medai.api.segmenting import segment
from medai.api.training import evaluate, prepare_training, train

__all__ = [
    "DEFAULT_MODEL",
    "Image",
    "Model",
    "evaluate",
    "is_node",
    "models",
    "prepare",
    "prepare_training",
    "run_here",
    "segment",
    "train",
]
