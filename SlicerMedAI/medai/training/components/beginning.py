"""Where the weights of a denoiser begin, so that its first steps already make images better."""

from __future__ import annotations

import torch
from monai.networks.blocks.segresnet_block import ResBlock
from torch.nn.modules.conv import _ConvNd


def begin_with_nothing(network: torch.nn.Module) -> torch.nn.Module:
    """Let a network that adds what it finds to its input begin by adding nothing.

    Its last layer starts at zero, so that it need not first undo what random weights add to the image (Zhang et al.,
    Fixup Initialization, ICLR 2019).

    Parameters
    ----------
    network : torch.nn.Module
        Its last convolution gives its output.

    Returns
    -------
    torch.nn.Module
        The same network.
    """
    last = [module for module in network.modules() if isinstance(module, _ConvNd)][-1]
    torch.nn.init.zeros_(last.weight)
    if last.bias is not None:
        torch.nn.init.zeros_(last.bias)
    return network


def begin_without_norms(network: torch.nn.Module) -> torch.nn.Module:
    """The same for a network without norms: every layer passes on about as much as it gets (He et al., ICCV 2015).

    A residual block begins by adding nothing, or what there is would double with every block.

    Parameters
    ----------
    network : torch.nn.Module
        Of layers that are followed by a rectifier.

    Returns
    -------
    torch.nn.Module
        The same network.
    """
    for layer in network.modules():
        if isinstance(layer, _ConvNd):
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                torch.nn.init.zeros_(layer.bias)
    for block in network.modules():
        if isinstance(block, ResBlock):
            begin_with_nothing(block)
    return begin_with_nothing(network)
