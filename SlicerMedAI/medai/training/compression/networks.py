"""The smaller network by each method: its configuration, the network itself, and the weights it begins with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

from medai.bundles import configs
from medai.bundles.adaptation import adapted
from medai.bundles.own_modules import own_modules
from medai.bundles.weights import weights_path
from medai.errors import InputError, WriteError
from medai.training.components.files import replace_file
from medai.training.compression import derived
from medai.training.compression.compiled import Call
from medai.training.compression.decompose import NETWORKS, decomposed
from medai.training.compression.prune import pruned
from medai.training.compression.request import CompressionRequest
from medai.training.compression.widths import narrowed
from medai.training.folder import INFERENCE

Config = dict[str, Any]
_STALE = (".ts", ".onnx", ".pt", ".pth", ".safetensors")


def smaller(
    source: Path, network: torch.nn.Module, call: Call, request: CompressionRequest
) -> tuple[Config, torch.nn.Module]:
    """The smaller network with the weights it begins with, and the configuration that describes it.

    Parameters
    ----------
    source : Path
        The original bundle.
    network : torch.nn.Module
        Its network, on the CPU.
    call : Call
        As the network is called.
    request : CompressionRequest

    Raises
    ------
    InputError
        When the network does not permit it.
    """
    content = configs.inference(source)
    if request.method == "decompose":
        content, state, _ = decomposed(network, content, request.energy, source.name)
        made = built(content, source)
        made.load_state_dict(state)
        return content, made
    content = narrowed(content, request.ratio, source.name)
    torch.manual_seed(request.parameters.seed)
    made = built(content, source)
    if request.method == "prune":
        made.load_state_dict(pruned(network, made, call, source.name))
    return content, made


def built(content: Config, source: Path) -> torch.nn.Module:
    """The network that a configuration describes, with fresh weights.

    The configuration is one that was checked when its original was loaded, with other widths or layers.
    """
    parser = ConfigParser()
    parser.read_config(adapted(content, "cpu"))
    parser["bundle_root"] = str(source)
    key = next((key for key in NETWORKS if key in content), "network_def")
    with own_modules(source):
        made = parser.get_parsed_content(key)
    if not isinstance(made, torch.nn.Module):
        raise InputError(
            f"The model '{source.name}' cannot be compressed.",
            f"Its '{key}' is no network of its own.",
            "Quantise it instead.",
        )
    return made


def keep(root: Path, content: Config, state: dict[str, torch.Tensor]) -> None:
    """Write configuration and weights into the new bundle; weights in other forms are the original's, and go.

    Raises
    ------
    WriteError
        When the disk is full or read-only.
    """
    derived.write(root, {INFERENCE: content})
    keep_weights(root, state)


def each_once(
    state: Mapping[str, torch.Tensor], change: Callable[[torch.Tensor], torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Weights after a change of each.

    Some networks (MONAI's DynUNet) know a layer by several names: its weights are changed once, and go on being the
    same tensor, which is written once.
    """
    made: dict[tuple[object, ...], torch.Tensor] = {}

    def changed(value: torch.Tensor) -> torch.Tensor:
        same = value.data_ptr(), value.dtype, value.shape, value.stride()
        if same not in made:
            made[same] = change(value)
        return made[same]

    return {name: changed(value) for name, value in state.items()}


def keep_weights(root: Path, state: dict[str, torch.Tensor]) -> None:
    """Write weights in the place of others; see `keep`."""
    path = weights_path(root)
    if path.suffix == ".safetensors":
        from safetensors.torch import save

        apart = {name: value.clone() for name, value in state.items()}  # the format knows no second names
        replace_file(path, lambda file: file.write(save(apart)))
    else:
        replace_file(path, lambda file: torch.save(state, file))
    try:
        for other in path.parent.iterdir():
            if other != path and other.stem == path.stem and other.suffix in _STALE:
                other.unlink()
    except OSError as error:
        raise WriteError(
            f"The weights of '{root.name}' could not be written.",
            f"The computer reports: {error.strerror or error}.",
            "Choose another folder.",
        ) from error
