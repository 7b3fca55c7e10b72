"""What a model is for: which task of medai its metadata describes. Plain reading, without importing torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from medai.bundles.encoders import encoder_config
from medai.bundles.labels import input_specs, output_spec, plain_text

TASKS: Final = ("segment", "classify", "detect", "denoise", "encode", "translate", "synthesize", "forecast")
OTHER: Final = "other"
"""For models of which medai makes no use: registration, landmarks, diffusion, ..."""

_MAKES_IMAGES = ("gan", "generat", "synthe")
_LABELS = ("segmentation", "labels", "classes")


def task_of(metadata: Mapping[str, Any]) -> str:
    """One of `TASKS`, or `OTHER`.

    ``medai.task`` in the metadata decides when it is there; else the format of the output, and where that fits several
    tasks, the words of ``task`` and ``name``.
    """
    own = metadata.get("medai")
    stated = plain_text(own.get("task")) if isinstance(own, Mapping) else ""
    return stated or _read(metadata)


def tasks_of(root: Path, metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """All tasks of `TASKS` that a bundle serves: its own first, then what its networks can do besides."""
    served = [task_of(metadata), *(["encode"] if encoder_config(root) else [])]
    return tuple(task for task in dict.fromkeys(served) if task in TASKS)


def _read(metadata: Mapping[str, Any]) -> str:
    words = f"{plain_text(metadata.get('task'))} {plain_text(metadata.get('name'))}".lower()
    output = output_spec(metadata)
    kind = " ".join(plain_text(output.get(key)) for key in ("type", "format")).lower()
    if "diffusion" in words:
        return OTHER
    if _starts_from_numbers(metadata) or (any(map(words.__contains__, _MAKES_IMAGES)) and "magnitude" in kind):
        return "synthesize"
    if "object" in kind or "box" in kind:
        return "detect"
    for task, stem in (("denoise", "denois"), ("encode", "autoencod"), ("forecast", "forecast")):
        if stem in words and "segment" not in words:
            return task
    if "segment" not in words and ("classif" in words or "classif" in kind or "probabilities" in kind):
        return "classify"
    found = "segment" in words or any(map(kind.__contains__, _LABELS))
    return "segment" if found and "probabilities" not in kind else OTHER


def _starts_from_numbers(metadata: Mapping[str, Any]) -> bool:
    return any("latent" in f"{name} {spec.get('format')}".lower() for name, spec in input_specs(metadata).items())
