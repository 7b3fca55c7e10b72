"""Networks by name, as configurations of MONAI's own."""

from __future__ import annotations

from typing import Any

Config = dict[str, Any]
_LEVELS = 4
_WAVELET_LEVELS = 3
_DEFAULT_WIDTH = {
    "unet": 16,
    "dynunet": 16,
    "segresnet": 8,
    "wavelet_segresnet": 32,
    "densenet121": 32,
    "resnet10": 24,
    "resnet18": 24,
    "autoencoder": 16,
    "retinanet": 64,
    "generator": 16,
}
_CLASSIFIERS = ("resnet18", "resnet10", "densenet121")
_BLOCKS = {"resnet18": [2, 2, 2, 2], "resnet10": [1, 1, 1, 1]}
# Small pictures would be gone after the strides that were made for large ones.
_LARGE = 96
# Kernel and stride of the first layer, and whether it is pooled, by how much smaller they make the image.
_STEMS = {1: (3, 1, False), 2: (5, 2, False), 4: (7, 2, True), 8: (7, 4, True)}
FITTING = {
    "segment": ("dynunet", "unet", "segresnet"),
    "classify": _CLASSIFIERS,
    "detect": ("retinanet",),
    "denoise": ("dynunet", "unet", "segresnet", "wavelet_segresnet", "autoencoder"),
    "encode": ("autoencoder",),
    "synthesize": ("generator",),
    "forecast": ("gru", "lstm"),
    "translate": ("unet", "dynunet", "segresnet"),
}
"""Which networks can be trained for which task; the first is taken when nothing is said."""


def default_network(task: str) -> str:
    """What is taken when a person says nothing."""
    return FITTING[task][0]


def smallest_edge(network: str) -> int:
    """Voxels along an edge below which nothing is left of an image inside the network."""
    return 32 if network == "densenet121" else 8


def width_of(network: str, width: int) -> int:
    """Channels of the first layer, where 0 is the usual number."""
    return width or _DEFAULT_WIDTH[network]


def halvings(patch: tuple[int, ...], levels: int = 0) -> list[tuple[int, ...]]:
    """Strides of each level of an encoder: an axis is halved while at least 4 voxels are left of it."""
    strides: list[tuple[int, ...]] = []
    left = list(patch)
    for _ in range((levels or _LEVELS) - 1):
        stride = tuple(2 if size >= 8 else 1 for size in left)
        if max(stride) == 1:
            break
        left = [size // step for size, step in zip(left, stride, strict=True)]
        strides.append(stride)
    return strides


def too_shallow(network: str, patch: tuple[int, ...], levels: int = 0) -> bool:
    """Whether a patch cannot be halved as often as MONAI's DynUNet must: twice."""
    return network == "dynunet" and len(halvings(patch, levels)) < 2


def stride_of(network: str, patch: tuple[int, ...], levels: int = 0) -> tuple[int, ...]:
    """What every axis of the patch must be a multiple of."""
    if network in ("segresnet", "retinanet"):
        return (8,) * len(patch)
    if network == "wavelet_segresnet":
        return (2 ** (levels or _WAVELET_LEVELS),) * len(patch)
    if network in _CLASSIFIERS:
        return (1,) * len(patch)
    total = [1] * len(patch)
    for stride in halvings(patch, levels):
        total = [size * step for size, step in zip(total, stride, strict=True)]
    return tuple(total)


def network(
    name: str,
    patch: tuple[int, ...],
    channels: int,
    outputs: int,
    *,
    width: int,
    dropout: float,
    norm: str | None = "instance",
    levels: int = 0,
    stem: int = 0,
    code: int = 0,
    widening: float = 2,
) -> Config:
    """Configuration of one network.

    Parameters
    ----------
    name : str
        One of `medai.training.parameters.NETWORKS` but ``"auto"``.
    patch : tuple of int
        What it sees at once; tells its dimensions and how often it can be halved.
    channels, outputs : int
        Of the image, and of the result (classes for a classifier).
    width : int
        Channels of the first layer; 0 for the usual number.
    dropout : float
    norm : str
        ``"instance"`` makes each image's own contrast not matter; ``"batch"`` keeps it, where the result depends on it.
        A U-Net and a DynUNet can do without (None).
    levels : int
        Resolutions of a network that halves; 0 for the usual number.
    stem : int
        Of a ResNet: how much smaller its first layers make the image, 1, 2 or 4 times; 0 takes what suits the patch.
    code : int
        Of an autoencoder: channels of its code; 0 for as many as its deepest layer has otherwise.
    widening : float
        Times as many channels as the level before.
    """
    width = width_of(name, width)
    dimensions = len(patch)
    if name in _BLOCKS:
        ends = {"spatial_dims": dimensions, "n_input_channels": channels, "num_classes": outputs}
        return ends | _resnet(_BLOCKS[name], width, stem or (1 if max(patch) < _LARGE else 4))
    if name == "densenet121":
        return {
            "_target_": "DenseNet121",
            "spatial_dims": dimensions,
            "in_channels": channels,
            "out_channels": outputs,
            "init_features": width,
            "growth_rate": max(width // 2, 4),
            "dropout_prob": dropout,
        }
    if name == "wavelet_segresnet":
        return _of_wavelets(dimensions, channels, width, levels or _WAVELET_LEVELS, dropout)
    common = {"spatial_dims": dimensions, "in_channels": channels, "out_channels": outputs}
    if name == "segresnet":
        return {"_target_": "SegResNet", **common, "init_filters": width, "dropout_prob": dropout or None} | {
            "norm": "batch" if norm == "batch" else ["GROUP", {"num_groups": min(width, 8)}]
        }
    strides = halvings(patch, levels)
    widths = [round(width * widening**level) for level in range(len(strides) + 1)]
    if name == "dynunet":
        return _dynunet(common, widths, strides, dropout, norm)
    kind = {"unet": "UNet", "autoencoder": "AutoEncoder"}[name]
    residual = {"num_res_units": 2, "norm": norm, "dropout": dropout}
    if kind == "AutoEncoder":
        # Its strides belong to every layer, the first one too.
        widths = [*widths[1:-1], code or widths[-1]]
    return {"_target_": kind, **common, "channels": widths, "strides": _plain(strides), **residual}


def _dynunet(
    common: Config, widths: list[int], strides: list[tuple[int, ...]], dropout: float, norm: str | None
) -> Config:
    dimensions = common["spatial_dims"]
    return {
        "_target_": "DynUNet",
        **common,
        "kernel_size": [3] * len(widths),
        "strides": [[1] * dimensions, *map(list, strides)],
        "upsample_kernel_size": [list(stride) for stride in strides],
        "filters": widths,
        "norm_name": [norm.upper(), {"affine": True}] if norm else "",
        "act_name": ["leakyrelu", {"negative_slope": 0.01, "inplace": True}],
        **({"dropout": dropout} if dropout else {}),
    }


def _of_wavelets(dimensions: int, channels: int, width: int, levels: int, dropout: float) -> Config:
    """Residual blocks without norms; one of them where there are most channels, two elsewhere."""
    coefficients = channels * 2**dimensions
    inner = {
        "_target_": "SegResNet",
        "spatial_dims": dimensions,
        "in_channels": coefficients,
        "out_channels": coefficients,
        "init_filters": width,
        "dropout_prob": dropout or None,
        "norm": "",
        # In place it would change what leads around a block.
        "act": ["leakyrelu", {"negative_slope": 0.1, "inplace": False}],
        "blocks_down": [2] * (levels - 1) + [1],
        "blocks_up": [2] * (levels - 1),
    }
    ends = {"spatial_dims": dimensions, "channels": channels}
    return {"_target_": "medai.networks.WaveletBlocks", "network": inner, **ends}


def _resnet(blocks: list[int], width: int, stem: int) -> Config:
    kernel, stride, pooled = _STEMS[stem]
    return {
        "_target_": "ResNet",
        "block": "basic",
        "layers": blocks,
        "block_inplanes": [width, 2 * width, 4 * width, 8 * width],
        "conv1_t_size": kernel,
        "conv1_t_stride": stride,
        "no_max_pool": not pooled,
    }


def _plain(strides: list[tuple[int, ...]]) -> list[Any]:
    return [stride[0] if len(set(stride)) == 1 else list(stride) for stride in strides]
