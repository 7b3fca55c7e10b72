"""Where the weights of a denoiser begin, so that its first steps already make images better."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from scipy.fft import dct
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

_AMPLITUDE = 0.05  # the network beside the transform sees tissue of some tens of standard deviations of noise


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
    _silence([module for module in network.modules() if isinstance(module, _ConvNd)][-1])
    return network


def begin_with_cosines(network: torch.nn.Sequential) -> torch.nn.Sequential:
    """Let a `medai.training.recipe.shrinkage` network begin as a sliding cosine transform with a threshold.

    Parameters
    ----------
    network : Sequential
        The transform beside the image, a network that adds to both, and the layer that mixes both.

    Returns
    -------
    Sequential
        The same network.
    """
    transformed, refined, mixed = network
    analysis, _, synthesis = transformed.submodule
    channels = analysis.in_channels
    bank = torch.from_numpy(_cosines(analysis.kernel_size))
    share = math.prod(synthesis.stride) / len(bank)  # of every place of the block in the mean over all of them
    with torch.no_grad():
        for layer, scale in ((analysis, 1.0), (synthesis, share)):
            layer.weight.zero_()
            for channel in range(channels):
                own = slice(channel * len(bank), (channel + 1) * len(bank))
                layer.weight[own, channel] = scale * bank
        _begin_without_norms(refined.submodule)
        mixed.bias.zero_()
        # The image itself is not passed on, only what the transform has left of it.
        mixed.weight.zero_()
        for channel in range(channels):
            mixed.weight[channel, channels + channel] = 1.0
    return network


def _begin_without_norms(network: torch.nn.Module) -> None:
    """Every layer passes on as much as it gets (He et al., ICCV 2015), the last adds nothing."""
    layers = [module for module in network.modules() if isinstance(module, _ConvNd)]
    for layer in layers:
        inputs = layer.in_channels * math.prod(layer.kernel_size)
        if isinstance(layer, _ConvTransposeNd):  # of a voxel, only every few of its cells know
            inputs /= math.prod(layer.stride)
        # Half of it each, for a residual unit adds two ways.
        torch.nn.init.normal_(layer.weight, 0.0, 1 / math.sqrt(inputs))
        if layer.bias is not None:
            torch.nn.init.zeros_(layer.bias)
    for layer in layers:
        if layer.in_channels == layers[0].in_channels != layer.out_channels:
            layer.weight.mul_(_AMPLITUDE)
    _silence([layer for layer in layers if isinstance(layer, _ConvTransposeNd)][-1])


def _silence(layer: _ConvNd) -> None:
    torch.nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        torch.nn.init.zeros_(layer.bias)


def _cosines(block: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """All products of the axes' cosines, shape (prod(block), *block), each of norm 1."""
    axes = [dct(np.eye(edge), axis=0, norm="ortho") for edge in block]
    products = []
    for each in itertools.product(*axes):
        waves = np.ones(())
        for wave in each:
            waves = waves[..., np.newaxis] * wave
        products.append(waves)
    return np.stack(products).astype(np.float32)
