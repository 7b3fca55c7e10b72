"""Is a compiled network (OpenVINO's intermediate representation) only a network? Read before OpenVINO sees it.

Such a file is a graph of operations beside a file of numbers. OpenVINO runs nothing but its own operations as long as
nobody gives it an extension; still its readers are native code, so whatever is not plain is refused first: other
operations, loops, references out of the file of numbers, and XML that unfolds.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

LARGEST_BYTES = 64 * 2**20
"""Of a graph; those of a hundred layers take less than one MB."""
_OPSET = re.compile(r"opset[1-9][0-9]?")
_ENDLESS = frozenset({"Loop", "TensorIterator", "If", "ReadValue", "Assign"})


def fault_of(xml: bytes, weights: int, inputs: int = 1) -> str:
    """What is wrong with a compiled network; empty when it is only a network.

    Parameters
    ----------
    xml : bytes
        The graph.
    weights : int
        Bytes of the file of numbers beside it.
    inputs : int
        Tensors that it is said to take.
    """
    try:
        text = xml[: LARGEST_BYTES + 1].decode("utf-8")
        if len(xml) > LARGEST_BYTES or "<!" in text:
            return "is far larger than any network, or defines entities, which unfold"
        net = ET.fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", text))  # noqa: S314 - no entities, see above
    except (UnicodeDecodeError, ET.ParseError):
        return "is damaged"
    layers = list(net.iter("layer"))
    kinds = [layer.get("type", "") for layer in layers]
    if net.tag != "net" or kinds.count("Parameter") != inputs or "Result" not in kinds:
        return "is no network of OpenVINO that takes what its metadata say"
    return next((fault for layer in layers if (fault := _fault_of_layer(layer, weights))), "")


def _fault_of_layer(layer: ET.Element, weights: int) -> str:
    kind = layer.get("type", "")
    if not _OPSET.fullmatch(layer.get("version", "")):
        return f"asks for the operation '{kind[:40]}', which is not OpenVINO's own"
    if kind in _ENDLESS:
        return f"uses '{kind}', which need not end"
    if kind == "Const" and not _inside(layer.find("data"), weights):
        return "takes numbers from outside of its file of weights"
    return ""


def _inside(data: ET.Element | None, weights: int) -> bool:
    try:
        offset, size = (int((data.attrib if data is not None else {})[key]) for key in ("offset", "size"))
    except (KeyError, ValueError):
        return False
    return offset >= 0 and size >= 0 and offset + size <= weights
