"""One call per task, with the same names from Slicer's Python console, a notebook, the command line and the panels.

Nothing here imports torch.
"""

from medai.api.choosing import DEFAULT_MODEL, Model, models
from medai.api.classifying import classify
from medai.api.comparing import change, prepare_change
from medai.api.compressing import compress_model, export_model
from medai.api.denoising import denoise
from medai.api.detecting import detect
from medai.api.encoding import encode
from medai.api.explaining import explain
from medai.api.forecasting import forecast, prepare_forecast
from medai.api.images import Image, is_node
from medai.api.preparing import prepare
from medai.api.preparing_models import prepare_model
from medai.api.running import run_here
from medai.api.segmenting import segment
from medai.api.synthesizing import prepare_synthesis, synthesize
from medai.api.training import evaluate, prepare_training, train
from medai.api.translating import translate

__all__ = [
    "DEFAULT_MODEL",
    "Image",
    "Model",
    "change",
    "classify",
    "compress_model",
    "denoise",
    "detect",
    "encode",
    "evaluate",
    "explain",
    "export_model",
    "forecast",
    "is_node",
    "models",
    "prepare",
    "prepare_change",
    "prepare_forecast",
    "prepare_model",
    "prepare_synthesis",
    "prepare_training",
    "run_here",
    "segment",
    "synthesize",
    "train",
    "translate",
]
