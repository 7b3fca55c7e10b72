"""MONAI networks on medical images, from Slicer, Python, or the command line.

>>> import medai
>>> result = medai.segment("head.nii.gz", model="hippocampus_mr_unet")   # doctest: +SKIP
>>> result.table.columns["Volume (mL)"]                                  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medai.api import (
        change,
        classify,
        compress_model,
        denoise,
        detect,
        encode,
        evaluate,
        explain,
        export_model,
        forecast,
        models,
        prepare,
        prepare_model,
        segment,
        synthesize,
        train,
        translate,
    )
    from medai.errors import MedAIError
    from medai.jobs.job import Job
    from medai.progress import Progress
    from medai.result import Labelmap, Result
    from medai.volume import Region, Series, Volume

__version__ = "0.1.0"

__all__ = [
    "Job",
    "Labelmap",
    "MedAIError",
    "Progress",
    "Region",
    "Result",
    "Series",
    "Volume",
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
    "models",
    "prepare",
    "prepare_model",
    "segment",
    "synthesize",
    "train",
    "translate",
]

# Looked up when first used, so that importing medai costs nothing in a panel that is only being opened.
_HOMES = {
    "Job": "medai.jobs.job",
    "Labelmap": "medai.result",
    "MedAIError": "medai.errors",
    "Progress": "medai.progress",
    "Region": "medai.volume",
    "Result": "medai.result",
    "Series": "medai.volume",
    "Volume": "medai.volume",
    "models": "medai.api",
    "prepare": "medai.api",
    "prepare_model": "medai.api",
    "compress_model": "medai.api",
    "export_model": "medai.api",
    "segment": "medai.api",
    "change": "medai.api",
    "synthesize": "medai.api",
    "classify": "medai.api",
    "explain": "medai.api",
    "forecast": "medai.api",
    "denoise": "medai.api",
    "detect": "medai.api",
    "encode": "medai.api",
    "evaluate": "medai.api",
    "train": "medai.api",
    "translate": "medai.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
