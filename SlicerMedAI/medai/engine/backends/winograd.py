"""Convolutions of three taps with half of the multiplications.

Four neighbours along an axis are computed together, out of the six values that they depend on, by six convolutions that
lack this axis instead of twelve: F(4, 3) of Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR
2016, along one axis, and where that pays along the next one too. So few axes keep the rounding that of float32: outputs
differ by about 1e-5 of their range. The six values are whole planes or rows of the image, which are copied and added in
whatever layout the convolutions want. It pays for many channels alone: a value is moved some ten times more.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

_TILE, _TAPS = 4, 3
# Of the polynomial whose coefficients the taps are, 24 times the values at 0, 1, -1, 2, -2 and infinity.
_POINTS = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
_MULTIPLICATIONS_FOR_A_MOVE = 110
"""Saved for each value of input and output, from which on it was faster on a processor with AVX-512."""
_MOST_VALUES = 2**27  # of input and output together: about twice as many are in memory in between


def rewrite(model: Any) -> int:
    """Replace those convolutions of an ``openvino.Model`` for which it pays; gives their number.

    Parameters
    ----------
    model : openvino.Model
        Of one size of image. Convolutions of anything else are left as they are, and so are those with groups or
        weights in 8 bits.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return 0  # other processors have other kernels: nothing is known of them
    count = 0
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Convolution" or not _is_plain(node):
            continue
        shape = tuple(node.get_input_shape(0))
        given = node.get_attributes()
        convolution = _Convolution(
            node.input_value(1).get_node().data,
            *(tuple(given[name]) for name in ("strides", "dilations", "pads_begin", "pads_end")),
        )
        if convolution.axis_to_halve(shape) is None:
            continue
        replaced = _bias_after(node)
        bias = None if replaced is node else replaced.input_value(1).get_node().data
        result = convolution.of(node.input_value(0), bias)
        result.set_friendly_name(replaced.get_friendly_name())
        for target in replaced.output(0).get_target_inputs():
            target.replace_source_output(result.output(0))
        count += 1
    return count


@dataclass(frozen=True, eq=False)
class _Convolution:
    """What is known of one beside its input.

    Parameters
    ----------
    weights : array, shape (O, C, *taps)
    strides, dilations, begin, end
        For each spatial axis; the latter two are the zeros around the image.
    """

    weights: npt.NDArray[Any]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begin: tuple[int, ...]
    end: tuple[int, ...]

    def axis_to_halve(self, shape: Sequence[int]) -> int | None:
        """The first spatial axis, but the innermost, along which it pays for an input of that shape; None for none."""
        outputs, channels, *taps = self.weights.shape
        sizes = [self._length(axis, size) for axis, size in enumerate(shape[2:])]
        moved = channels * math.prod(shape[2:]) + outputs * math.prod(sizes)
        for axis, length in enumerate(sizes[:-1]):
            if taps[axis] != _TAPS or self.strides[axis] != 1 or self.dilations[axis] != 1 or moved > _MOST_VALUES:
                continue
            saved = (1 - _tiles(length) * 6 / (_TAPS * length)) * self.weights.size * math.prod(sizes)
            if saved >= _MULTIPLICATIONS_FOR_A_MOVE * (moved + self.weights.size):
                return axis
        return None

    def of(self, x: Any, bias: npt.NDArray[Any] | None = None) -> Any:
        """The node that gives the output for `x`, an ``openvino.Output``; to every channel a number may be added."""
        from openvino import opset13 as ops

        axis = self.axis_to_halve(x.get_shape())
        if axis is not None:
            return self._halved(x, bias, axis)
        found = ops.convolution(x, self.weights, self.strides, self.begin, self.end, self.dilations)
        return found if bias is None else ops.add(found, bias)

    def _halved(self, x: Any, bias: npt.NDArray[Any] | None, axis: int) -> Any:
        from openvino import opset13 as ops

        place = axis + 2
        length = self._length(axis, x.get_shape()[place])
        taps = [_every_fourth(x, place, start - self.begin[axis], _tiles(length)) for start in range(6)]
        kernels = np.moveaxis(np.tensordot(self.weights.astype(np.float64), _POINTS, ([place], [1])), -1, 0)
        products = []
        for point, (values, kernel) in enumerate(zip(_at_points(taps), kernels, strict=True)):
            smaller = replace(
                self,
                weights=np.expand_dims(kernel, place).astype(np.float32),
                begin=_without(self.begin, axis),
                end=_without(self.end, axis),
            )
            # What is added at the point 1 arrives in all four.
            products.append(smaller.of(values.output(0), bias if point == 1 else None))
        found = ops.shuffle_channels(ops.concat(_of_four(products), place), place, _TILE)
        if length % _TILE:
            found = ops.slice(found, [0], [length], [1], [place])
        return found

    def _length(self, axis: int, size: int) -> int:
        """Of the output along an axis."""
        reach = self.dilations[axis] * (self.weights.shape[axis + 2] - 1) + 1
        return int(size + self.begin[axis] + self.end[axis] - reach) // self.strides[axis] + 1


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


def _is_plain(node: Any) -> bool:
    """Whether all that matters is known: the image's size, weights in single precision, zeros around the image."""
    image, weights = node.input_value(0), node.input_value(1)
    return bool(
        image.get_partial_shape().is_static
        and image.get_element_type().to_dtype() == np.float32
        and weights.get_node().get_type_name() == "Constant"
        and node.get_attributes()["auto_pad"] == "explicit"
    )


def _bias_after(node: Any) -> Any:
    """The addition of a number to every channel, where that alone comes after; else the same node."""
    targets = [target.get_node() for target in node.output(0).get_target_inputs()]
    if len(targets) != 1 or targets[0].get_type_name() != "Add":
        return node
    bias = targets[0].input_value(1)
    channels = [1, node.get_output_shape(0)[1], *[1] * (len(node.get_output_shape(0)) - 2)]
    is_bias = bias.get_node().get_type_name() == "Constant" and list(bias.get_shape()) == channels
    return targets[0] if is_bias else node
