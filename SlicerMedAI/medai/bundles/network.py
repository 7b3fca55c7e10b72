"""A bundle's network with its weights, ready to run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from monai.inferers import SliceInferer
from monai.transforms import SqueezeDim, SqueezeDimd

from medai.bundles.explained import unusable
from medai.bundles.memory_io import leaves
from medai.bundles.weights import load_state_dict
from medai.errors import BundleFormatError, InputError
from medai.volume import Volume


def with_weights(network: object, root: Path, device: str, *, stem: str = "inference") -> torch.nn.Module:
    """Put a bundle's weights into its network, and the network onto a device, for inference only.

    Parameters
    ----------
    network : torch.nn.Module
        As the configuration describes it.
    root : Path
        The bundle's folder.
    device : str
        A PyTorch device that exists on this computer.
    stem : str
        Which of the bundle's configurations describes the network.

    Raises
    ------
    BundleFormatError
        When there is no network, or the weights are not its own.
    """
    if not isinstance(network, torch.nn.Module):
        raise unusable(root.name, "It has no 'network_def' that describes its network")
    target = getattr(network, "module", network) if isinstance(network, torch.nn.DataParallel) else network
    state = load_state_dict(root, stem=stem)
    try:
        target.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise BundleFormatError(
            f"The weights of the model '{root.name}' do not belong to its network.",
            "Their names or sizes differ from those its configuration asks for.",
            "Import or download the model again, or ask its authors for a matching pair.",
            details=str(error),
        ) from error
    return network.to(device).eval().requires_grad_(requires_grad=False)


def check_slices(model: str, volumes: Sequence[Volume]) -> None:
    """Refuse images of several slices for a model of single ones, which would fail in words of its own.

    Raises
    ------
    InputError
    """
    deep = next((volume for volume in volumes if volume.shape[0] > 1), None)
    if deep is not None:
        raise InputError(
            f"'{deep.name}' cannot be given to the model '{model}' as a whole.",
            f"It has {deep.shape[0]} slices, and the model looks at single ones.",
            "Choose a model of volumes, or give it single slices.",
        )


def is_planar(network: torch.nn.Module, inferer: object, preprocessing: object) -> bool:
    """Whether the network works on two-dimensional images, which come without a slice axis."""
    if isinstance(inferer, SliceInferer):
        return False
    # A bundle that drops the slice axis itself expects to find it.
    if any(isinstance(leaf, (SqueezeDim, SqueezeDimd)) for leaf in leaves(preprocessing)):
        return False
    kinds = {type(module).__name__ for module in network.modules()}
    return any("Conv" in kind and kind.endswith("2d") for kind in kinds) and not any(
        "Conv" in kind and kind.endswith("3d") for kind in kinds
    )
