"""Convolutions of an OpenVINO model replaced by others that give the same."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Convolution:
    """What is known of one beside its input.

    Parameters
    ----------
    weights : array, shape (O, C, *taps), of a transposed one (C, O, *taps)
    strides, dilations, begin, end
        For each spatial axis; the latter two are the zeros around the image, or for a transposed one what is cut off.
    further : tuple of int
        What a transposed one gives beyond that at the end of each axis.
    """

    weights: npt.NDArray[Any]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begin: tuple[int, ...]
    end: tuple[int, ...]
    further: tuple[int, ...] = ()


Build = Callable[[Any, Convolution, "npt.NDArray[Any] | None"], Any]
"""Given the image (``openvino.Output``), the convolution, and what to add to each channel if anything, the node that
gives the same; None to leave it as it is."""


def rewrite(model: Any, kind: str, build: Build) -> int:
    """Replace what `build` has something better for; gives the number.

    Parameters
    ----------
    model : openvino.Model
        Of one size of image. Convolutions of anything else are left alone, and so are those with groups or weights in
        8 bits.
    kind : str
        OpenVINO's name of the operation.
    build : callable
        See `Build`.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return 0  # other processors have other kernels: nothing is known of them
    count = 0
    for node in model.get_ordered_ops():
        if node.get_type_name() != kind or not _is_plain(node):
            continue
        given = node.get_attributes()
        names = ("strides", "dilations", "pads_begin", "pads_end", "output_padding")
        convolution = Convolution(
            node.input_value(1).get_node().data, *(tuple(given[name]) for name in names if name in given)
        )
        replaced = _bias_after(node)
        bias = None if replaced is node else replaced.input_value(1).get_node().data
        result = build(node.input_value(0), convolution, bias)
        if result is None:
            continue
        result.set_friendly_name(replaced.get_friendly_name())
        for target in replaced.output(0).get_target_inputs():
            target.replace_source_output(result.output(0))
        count += 1
    return count


def _is_plain(node: Any) -> bool:
    """Whether all that matters is known: the image's size, weights in single precision, zeros around the image."""
    image, weights = node.input_value(0), node.input_value(1)
    return bool(
        node.get_input_size() == 2
        and image.get_partial_shape().is_static
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
