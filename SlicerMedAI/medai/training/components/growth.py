"""The weights of a trained network inside a wider one, which at first computes what the narrow one did."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from monai.networks.blocks.dynunet_block import UnetUpBlock
from monai.networks.nets import DynUNet
from torch import Tensor
from torch.nn.modules.conv import _ConvTransposeNd

from medai.networks import Ensemble


def fitting(network: torch.nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights that a network can begin with.

    Parameters
    ----------
    network : torch.nn.Module
    state : mapping of str to Tensor
        Weights of another one.

    Returns
    -------
    dict of str to Tensor
        Those of the same names and shapes; of a DynUNet, those of a narrower one too. Every member of an ensemble can
        begin with those of a single network.
    """
    own = network.state_dict()
    if isinstance(network, Ensemble):
        of_one = {f"members.{n}.{name}": value for n in range(len(network.members)) for name, value in state.items()}
        state = {**state, **of_one}
    grows = any(isinstance(module, DynUNet) for module in network.modules())
    return {
        name: weight.contiguous()
        for name, weight in state.items()
        if name in own and (weight.shape == own[name].shape or (grows and _inside(weight, own[name])))
    }


def begin_with(network: torch.nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give a network the weights that fit it.

    Where it is wider, what is new begins as it is, and no channel that was there before sees it: the network computes
    what the narrow one did, and learns to use the new channels (Chen et al., Net2Net, ICLR 2016).

    Parameters
    ----------
    network : torch.nn.Module
        Changed in place.
    state : mapping of str to Tensor
    """
    own = network.state_dict()
    modules = dict(network.named_modules(remove_duplicate=False))
    joined = {module.conv_block.conv1.conv for module in modules.values() if isinstance(module, UnetUpBlock)}
    for name, weight in fitting(network, state).items():
        module = modules[name.rpartition(".")[0]]
        wide, narrow = own[name], weight
        if isinstance(module, _ConvTransposeNd) and wide.ndim > 1:
            wide, narrow = wide.transpose(0, 1), narrow.transpose(0, 1)  # outputs first, as in any convolution
        _put(wide, narrow, parts=2 if module in joined else 1)


def _inside(narrow: Tensor, wide: Tensor) -> bool:
    """Whether a tensor has room in another one; kernels do not grow."""
    return (
        narrow.ndim == wide.ndim > 0
        and narrow.shape[2:] == wide.shape[2:]
        and all(a <= b for a, b in zip(narrow.shape, wide.shape, strict=True))
    )


def _put(wide: Tensor, narrow: Tensor, parts: int) -> None:
    """Write weights of shape (out, in, ...) or (out,) over the first of the wider layer's.

    A decoder's layer sees two images joined along the channels (`parts`), and each of them has grown.
    """
    there = wide[: len(narrow)]
    if narrow.ndim == 1:
        there.copy_(narrow)
        return
    there.zero_()
    for mine, given in zip(there.chunk(parts, 1), narrow.chunk(parts, 1), strict=True):
        mine[:, : given.shape[1]] = given
