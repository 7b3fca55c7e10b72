"""What a measurement holds for: this model, this computer, these versions of the libraries."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
from functools import lru_cache
from pathlib import Path

import torch

_FORMAT = 4  # of what is kept in the cache; another number makes everything before it unknown


def key(digest: str, *, device: str, requested: str, channels: int, roi_size: tuple[int, ...], backends: str) -> str:
    """The name under which a choice is kept.

    Parameters
    ----------
    digest : str
        Of the bundle's configs, weights and scripts (`medai.bundles.integrity.digest`).
    device : str
        As PyTorch calls it.
    requested : str
        ``"auto"`` or the backend that a person has asked for.
    channels, roi_size
        Of the network's windows.
    backends : str
        Names and versions of those that can be tried.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    parts = [_FORMAT, digest, requested, channels, list(roi_size), backends, torch.__version__, _monai(), *_cpu()]
    if device.startswith("cuda"):
        parts += [torch.cuda.get_device_name(torch.device(device)), str(torch.version.cuda)]
    elif device != "cpu":
        parts.append(device)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _monai() -> str:
    # The network's code: another version may compute something else from the same weights.
    return importlib.metadata.version("monai")


@lru_cache
def _cpu() -> tuple[str, str, int]:
    """Model, instruction set as PyTorch uses it, number of cores: what speed depends on."""
    name = os.environ.get("PROCESSOR_IDENTIFIER", "") or platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return (
        f"{platform.system()} {platform.machine()} {name}",
        torch.backends.cpu.get_cpu_capability(),
        os.cpu_count() or 1,
    )
