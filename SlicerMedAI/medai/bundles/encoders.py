"""Which of a bundle's networks is an autoencoder, so that it can code images. Plain reading, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from medai.bundles import configs
from medai.bundles.exchanges import WHOLE
from medai.errors import BundleError

ENCODE: Final = "encode"
"""``configs/encode.json``: a second network of the bundle, complete as an inference configuration is, with weights of
its own. `Pipeline` runs it, and so does ``python -m monai.bundle run --config_file configs/encode.json``, which gives
the reconstruction."""

_KINDS = ("AutoEncoder", "VarAutoEncoder", "AutoencoderKL")


def encoder_config(root: Path) -> str:
    """Name of the configuration whose network is an autoencoder; ``""`` when the bundle has none."""
    if configs.all_named(root, ENCODE):
        return ENCODE
    try:
        content = configs.inference(root)
    except BundleError:
        return ""
    return "inference" if _target(content) in _KINDS else ""


def _target(content: Mapping[str, Any]) -> str:
    named = (content.get(name) for name in (WHOLE, "network_def", "network", "net"))
    network = next((network for network in named if isinstance(network, Mapping)), {})
    return str(network.get("_target_", "")).rpartition(".")[2]
