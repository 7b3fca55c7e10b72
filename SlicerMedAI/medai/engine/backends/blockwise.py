"""Convolutions of few output channels, a block of neighbours at once.

A processor computes 16 output channels in one go, however few are wanted. So the two, four or eight neighbours of a
block, two along each spatial axis, are computed as so many further channels and put into their places afterwards: by a
convolution with stride 2 and one tap more, or, for a transposed convolution with stride 2, by one without stride. Which
sums are made stays the same. What normalises such an image comes before the values are put into their places, too.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.engine.backends import rewriting
from medai.engine.backends.rewriting import Convolution

_LANES = 16
_BLOCK = 2
_MULTIPLICATIONS_FOR_A_PLACE = 50
"""What putting one value into its place costs."""


def rewrite(model: Any) -> int:
    """Replace the convolutions of an ``openvino.Model`` of one size of image for which it pays; gives their number."""
    count = rewriting.rewrite(model, "Convolution", _in_blocks)
    count += rewriting.rewrite(model, "ConvolutionBackpropData", _transposed_in_blocks)
    for node in model.get_ordered_ops():
        placing = node.input_value(0).get_node() if node.get_type_name() == "MVN" else None
        if placing is not None and placing.get_type_name() == "DepthToSpace" and _normalises_channels(node):
            normalised = _normalised(node, placing)
            for target in node.output(0).get_target_inputs():
                target.replace_source_output(normalised.output(0))
    return count


@dataclass(frozen=True)
class _Axis:
    """One spatial axis.

    Parameters
    ----------
    length : int
        Of the output.
    taps : tuple of tuple of (int, int)
        For the first and the second of two neighbours: a tap of the new kernel, and the old one that it is.
    count : int
        Of taps of the new kernel.
    begin, end : int
        Zeros around the image.
    """

    length: int
    taps: tuple[tuple[tuple[int, int], ...], ...]
    count: int
    begin: int
    end: int


def _in_blocks(x: Any, given: Convolution, bias: npt.NDArray[Any] | None) -> Any:
    if {*given.strides, *given.dilations} != {1}:
        return None
    axes = []
    for size, taps, begin, end in zip(x.get_shape()[2:], given.weights.shape[2:], given.begin, given.end, strict=True):
        length = size + begin + end - taps + 1
        kernel = tuple(tuple((tap + second, tap) for tap in range(taps)) for second in range(_BLOCK))
        axes.append(_Axis(length, kernel, taps + 1, begin, end + length % _BLOCK))
    return _built(x, given.weights, axes, bias, stride=_BLOCK, taps_before=math.prod(given.weights.shape[2:]))


def _transposed_in_blocks(x: Any, given: Convolution, bias: npt.NDArray[Any] | None) -> Any:
    if {*given.strides} != {_BLOCK} or {*given.dilations} != {1}:
        return None
    axes = []
    sizes = zip(x.get_shape()[2:], given.weights.shape[2:], given.begin, given.end, given.further, strict=True)
    for size, taps, begin, end, further in sizes:
        length = (size - 1) * _BLOCK + taps - begin - end + further
        # The value at 2 j + second is made of the images' values at j + place.
        reached = [
            [((second + begin - tap) // _BLOCK, tap) for tap in range(taps) if (second + begin - tap) % _BLOCK == 0]
            for second in range(_BLOCK)
        ]
        places = [place for some in reached for place, _ in some]
        first, count = min(places), max(places) - min(places) + 1
        kernel = tuple(tuple((place - first, tap) for place, tap in some) for some in reached)
        axes.append(_Axis(length, kernel, count, -first, -(-length // _BLOCK) + first + count - 1 - size))
    weights = np.swapaxes(given.weights, 0, 1)
    return _built(x, weights, axes, bias, stride=1, taps_before=weights[0, 0].size / _BLOCK ** len(axes))


def _built(
    x: Any,
    weights: npt.NDArray[Any],
    axes: Sequence[_Axis],
    bias: npt.NDArray[Any] | None,
    *,
    stride: int,
    taps_before: float,
) -> Any:
    """The block's neighbours as channels, then in their places; None where that does not pay."""
    from openvino import opset13 as ops

    outputs, channels = weights.shape[:2]
    members = _BLOCK ** len(axes)
    taps = math.prod(axis.count for axis in axes) / members
    saved = channels * (taps_before * _lanes(outputs) - taps * _lanes(outputs * members))
    impossible = len(axes) < 2 or any(axis.begin < 0 or axis.end < 0 for axis in axes)
    if impossible or saved < 2 * _MULTIPLICATIONS_FOR_A_PLACE * outputs:
        return None
    # With the channels innermost while it is filled.
    kernel = np.zeros((members, *(axis.count for axis in axes), outputs, channels), np.float32)
    old_kernel = np.moveaxis(weights, (0, 1), (-2, -1))
    for member, seconds in zip(kernel, itertools.product(range(_BLOCK), repeat=len(axes)), strict=True):
        for pairs in itertools.product(*(axis.taps[second] for axis, second in zip(axes, seconds, strict=True))):
            new, old = zip(*pairs, strict=True)
            member[new] = old_kernel[old]
    kernel = np.moveaxis(kernel, (-2, -1), (1, 2))
    found = ops.convolution(
        x,
        np.ascontiguousarray(kernel.reshape(-1, *kernel.shape[2:])),
        [stride] * len(axes),
        [axis.begin for axis in axes],
        [axis.end for axis in axes],
        [1] * len(axes),
    )
    if bias is not None:
        found = ops.add(found, np.concatenate([bias] * members, 1))
    found = ops.depth_to_space(found, "blocks_first", _BLOCK)
    if not any(axis.length % _BLOCK for axis in axes):
        return found
    ends, every = [axis.length for axis in axes], range(len(axes))
    return ops.slice(found, [0 for _ in every], ends, [1 for _ in every], [axis + 2 for axis in every])


def _normalises_channels(node: Any) -> bool:
    """Whether each channel gets mean 0 and variance 1 of its own."""
    given, axes = node.get_attributes(), node.input_value(1).get_node()
    rank = len(node.get_output_shape(0))
    known = axes.get_type_name() == "Constant" and sorted(int(axis) % rank for axis in axes.data) == [*range(2, rank)]
    return bool(known and given["normalize_variance"] and given["eps_mode"].lower() == "inside_sqrt")


def _normalised(node: Any, placing: Any) -> Any:
    """What a normalisation gives of an image whose values are put into their places just before it."""
    from openvino import opset13 as ops

    blocks, outputs = placing.input_value(0), node.get_output_shape(0)[1]
    spatial = [*range(2, len(blocks.get_shape()))]

    def mean(values: Any) -> Any:
        """Of each channel, from the means of the block's members; exact as in `medai.engine.backends.norms`."""
        planes = ops.multiply(ops.reduce_mean(values, spatial[1:], keep_dims=True), np.float32(0.5))
        members = ops.reshape(ops.reduce_mean(planes, [2], keep_dims=True), [-1, outputs], special_zero=False)
        channels = ops.multiply(ops.reduce_mean(members, [0], keep_dims=True), np.float32(2))
        every = ops.tile(channels, [blocks.get_shape()[1] // outputs, 1])
        return ops.reshape(every, [1, -1, *[1] * len(spatial)], special_zero=False)

    centred = ops.subtract(blocks, mean(blocks))
    variance = ops.add(mean(ops.multiply(centred, centred)), np.float32(node.get_attributes()["eps"]))
    found = ops.multiply(centred, ops.power(variance, np.float32(-0.5)))
    return ops.depth_to_space(found, "blocks_first", _BLOCK)


def _lanes(outputs: int) -> int:
    """Channels that are computed, where so many are wanted."""
    return -(-outputs // _LANES) * _LANES
