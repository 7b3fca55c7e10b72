"""Convolutions of three taps with half of the multiplications.

Four neighbours along an axis are computed together, out of the six values that they depend on, by six convolutions that
lack this axis instead of twelve: F(4, 3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR
2016, along one axis, and where that pays along the next one too. So few axes keep the rounding that of float32: outputs
differ by about 1e-5 of their range. The six values are whole planes or rows of the image, which are copied and added in
whatever layout the convolutions want. It pays for many channels alone: a value is moved some ten times more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from medai.engine.backends import rewriting
from medai.engine.backends.rewriting import Convolution

_TILE, _TAPS = 4, 3
# Of the polynomial whose coefficients the taps are, 24 times the values at 0, 1, -1, 2, -2 and infinity.
_POINTS = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
_MULTIPLICATIONS_FOR_A_MOVE = 110
"""Saved for each value of input and output, from which on it was faster on a processor with AVX-512."""
_MOST_VALUES = 2**27  # of input and output together: about twice as many are in memory in between


def rewrite(model: Any) -> int:
    """Replace the convolutions of an ``openvino.Model`` of one size of image for which it pays; gives their number."""
    return rewriting.rewrite(model, "Convolution", _halved)


def _axis_to_halve(convolution: Convolution, shape: Sequence[int]) -> int | None:
    """The first spatial axis, but the innermost, along which it pays for an input of that shape; None for none."""
    weights = convolution.weights
    outputs, channels, *taps = weights.shape
    sizes = [_length(convolution, axis, size) for axis, size in enumerate(shape[2:])]
    moved = channels * math.prod(shape[2:]) + outputs * math.prod(sizes)
    for axis, length in enumerate(sizes[:-1]):
        if taps[axis] != _TAPS or convolution.strides[axis] != 1 or convolution.dilations[axis] != 1:
            continue
        saved = (1 - _tiles(length) * 6 / (_TAPS * length)) * weights.size * math.prod(sizes)
        if moved <= _MOST_VALUES and saved >= _MULTIPLICATIONS_FOR_A_MOVE * (moved + weights.size):
            return axis
    return None


def _output(x: Any, given: Convolution, bias: npt.NDArray[Any] | None) -> Any:
    """The node that gives it, for `x` an ``openvino.Output``."""
    from openvino import opset13 as ops

    halved = _halved(x, given, bias)
    if halved is not None:
        return halved
    found = ops.convolution(x, given.weights, given.strides, given.begin, given.end, given.dilations)
    return found if bias is None else ops.add(found, bias)


def _halved(x: Any, given: Convolution, bias: npt.NDArray[Any] | None) -> Any:
    """The same with half of the multiplications along one axis at least; None where that does not pay."""
    from openvino import opset13 as ops

    axis = _axis_to_halve(given, x.get_shape())
    if axis is None:
        return None
    place = axis + 2
    length = _length(given, axis, x.get_shape()[place])
    taps = [_every_fourth(x, place, start - given.begin[axis], _tiles(length)) for start in range(6)]
    kernels = np.moveaxis(np.tensordot(given.weights.astype(np.float64), _POINTS, ([place], [1])), -1, 0)
    products = []
    for point, (values, kernel) in enumerate(zip(_at_points(taps), kernels, strict=True)):
        weights = np.expand_dims(kernel, place).astype(np.float32)
        begin, end = _without(given.begin, axis), _without(given.end, axis)
        smaller = replace(given, weights=weights, begin=begin, end=end)
        # What is added at the point 1 arrives in all four.
        products.append(_output(values.output(0), smaller, bias if point == 1 else None))
    found = ops.shuffle_channels(ops.concat(_of_four(products), place), place, _TILE)
    return ops.slice(found, [0], [length], [1], [place]) if length % _TILE else found


def _length(convolution: Convolution, axis: int, size: int) -> int:
    """Of the output along an axis."""
    reach = convolution.dilations[axis] * (convolution.weights.shape[axis + 2] - 1) + 1
    return int(size + convolution.begin[axis] + convolution.end[axis] - reach) // convolution.strides[axis] + 1


def _at_points(taps: Sequence[Any]) -> tuple[Any, ...]:
    """What the six convolutions are given."""
    x0, x1, x2, x3, x4, x5 = taps
    even, odd = x4 - _times(4, x2), x3 - _times(4, x1)
    even_2, odd_2 = x4 - x2, _times(2, x3 - x1)
    first, last = _times(4, x0) - _times(5, x2) + x4, _times(4, x1) - _times(5, x3) + x5
    return first, even + odd, even - odd, even_2 + odd_2, even_2 - odd_2, last


def _of_four(products: Sequence[Any]) -> list[Any]:
    """Of the six convolutions' outputs, the four neighbours."""
    m0, m1, m2, m3, m4, m5 = products
    even, odd, even_2, odd_2 = m1 + m2, m1 - m2, m3 + m4, m3 - m4
    return [m0 + even + even_2, odd + _times(2, odd_2), even + _times(4, even_2), odd + _times(8, odd_2) + m5]


def _times(factor: float, values: Any) -> Any:
    from openvino import opset13 as ops

    return ops.multiply(values, ops.constant(factor, np.float32))


def _every_fourth(x: Any, place: int, start: int, count: int) -> Any:
    """`count` planes of `x` along the axis `place`, from `start` on; zeros where it has none."""
    from openvino import opset13 as ops

    shape = x.get_shape()
    inside = [number for number in range(count) if 0 <= start + _TILE * number < shape[place]]
    first, last = (inside[0], inside[-1]) if inside else (0, -1)
    part = ops.slice(x, [start + _TILE * first], [start + _TILE * last + 1], [_TILE], [place])
    begin, end = [0] * len(shape), [0] * len(shape)
    begin[place], end[place] = first, count - 1 - last
    return part if len(inside) == count else ops.pad(part, begin, end, "constant", np.float32(0))


def _tiles(length: int) -> int:
    return -(-length // _TILE)


def _without(zeros: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*zeros[:axis], 0, *zeros[axis + 1 :])
