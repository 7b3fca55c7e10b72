"""From a bundle's ``metadata.json`` to the segments that people see."""

from __future__ import annotations

import colorsys
import unicodedata
from collections.abc import Mapping
from itertools import islice
from typing import Any

from medai.result import Code, Segment

_GOLDEN = 0.618033988749895
_MOST_SEGMENTS = 4096  # whole-body models know a few hundred; a number beyond this is no description but an attack
_LARGEST_VALUE = 65_535
_MOST_LAYERS = 256


def segments_of(metadata: Mapping[str, Any]) -> tuple[Segment, ...]:
    """Structures that the model knows.

    The object ``medai.segments`` of the metadata is taken when it is there: names, values, colours and terminology as
    their authors wrote them. Otherwise they come from the ``channel_def`` of the network's output: with a background
    channel, channel n is label n of one layer; without, channels may overlap, so each is a layer of its own with the
    value 1.

    Returns
    -------
    tuple of Segment
        Empty when the metadata tells nothing.
    """
    own = metadata.get("medai")
    listed = own.get("segments") if isinstance(own, Mapping) else None
    if isinstance(listed, list) and listed:
        items = listed[:_MOST_SEGMENTS]
        return tuple(_segment(number, item) for number, item in enumerate(items) if isinstance(item, Mapping))
    output = output_spec(metadata)
    channels = min(_integer(output.get("num_channels"), 0), _MOST_SEGMENTS)
    names = _names(output.get("channel_def") or output.get("label_def"))
    if not names:
        # Nothing is said about the channels. Background first is what nearly every model does.
        return tuple(_plain(f"label {n}", n, n - 1) for n in range(1, channels))
    if 0 in names and "background" in names[0].lower():
        return tuple(_plain(name, n, i - 1) for i, (n, name) in enumerate(sorted(names.items())) if n > 0)
    if 0 not in names:
        return tuple(_plain(name, n, i) for i, (n, name) in enumerate(sorted(names.items())))
    return tuple(_plain(name, 1, i, layer=i) for i, (_, name) in enumerate(sorted(names.items())))


def classes_of(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the classes that a model tells apart, in the order of its scores; empty when the metadata has none."""
    names = _names(output_spec(metadata).get("channel_def"))
    return tuple(name for _, name in sorted(names.items()))


def conditions_of(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """What the images of a generator can be asked to show, in the order of its code; empty when it cannot be asked."""
    own = metadata.get("medai")
    listed = own.get("conditions") if isinstance(own, Mapping) else None
    return tuple(plain_text(name) for name in listed[:_MOST_SEGMENTS]) if isinstance(listed, list) else ()


def output_spec(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """Format of the main output: ``pred`` when there is one, else the first."""
    return _main(metadata, "outputs", "pred")


def input_specs(metadata: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Formats of the inputs by name, in the order of the file; what is no tensor is left out."""
    formats = metadata.get("network_data_format")
    inputs = formats.get("inputs") if isinstance(formats, Mapping) else None
    if not isinstance(inputs, Mapping):
        return {}
    return {str(name): spec for name, spec in inputs.items() if isinstance(spec, Mapping)}


def plain_text(value: object, longest: int = 200) -> str:
    """Text from a bundle as one line for people: no control characters, which terminals obey, and of bounded length.

    Characters that turn the direction of writing are left out too: they make a text look like another.
    """
    if value is None:
        return ""
    words = " ".join(str(value)[: 4 * longest].split())
    seen = "".join(letter for letter in words if unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Co"))
    shown = " ".join(seen.split())  # what stood between two spaces may be gone
    return shown if len(shown) <= longest else f"{shown[: longest - 3]}..."


def color(number: int) -> tuple[float, float, float]:
    """Colour of the n-th segment, far from those of its neighbours (golden-ratio steps around the colour circle)."""
    bright = (0.95, 0.75, 0.6)[(number // 8) % 3]
    r, g, b = colorsys.hsv_to_rgb((0.02 + number * _GOLDEN) % 1.0, 0.7, bright)
    return round(r, 3), round(g, 3), round(b, 3)


def _main(metadata: Mapping[str, Any], side: str, preferred: str) -> Mapping[str, Any]:
    formats = metadata.get("network_data_format")
    tensors = formats.get(side) if isinstance(formats, Mapping) else None
    if not isinstance(tensors, Mapping):
        return {}
    specs = {str(name): spec for name, spec in tensors.items() if isinstance(spec, Mapping)}
    return specs.get(preferred) or next(iter(specs.values()), {})


def _names(channel_def: object) -> dict[int, str]:
    if isinstance(channel_def, list):
        channel_def = dict(enumerate(channel_def[:_MOST_SEGMENTS]))
    if not isinstance(channel_def, Mapping):
        return {}
    names: dict[int, str] = {}
    for position, (key, value) in enumerate(islice(channel_def.items(), _MOST_SEGMENTS)):
        if isinstance(value, Mapping):
            # Some bundles nest their definitions; the name is then one of the inner values.
            value = value.get("name") or value.get("label") or next(iter(value.values()), "")  # noqa: PLW2901
        names[_integer(key, position)] = spoken(value) or f"label {plain_text(key)}"
    return names


def spoken(name: object) -> str:
    """The name of a structure or class as people read it."""
    return " ".join(plain_text(name).replace("_", " ").split())


def _segment(number: int, item: Mapping[str, Any]) -> Segment:
    value = min(max(_integer(item.get("label", item.get("value")), number + 1), 1), _LARGEST_VALUE)
    rgb = item.get("color", item.get("colour"))
    shade = color(number)
    if isinstance(rgb, list) and len(rgb) == 3 and all(isinstance(v, (int, float)) and 0 <= v <= 255 for v in rgb):
        # Colours come as 0..1 or as 0..255.
        scale = 255.0 if max(rgb) > 1 else 1.0
        shade = tuple(min(max(float(v) / scale, 0.0), 1.0) for v in rgb)  # type: ignore[assignment]
    return Segment(
        name=plain_text(item.get("name")) or f"label {value}",
        value=value,
        color=shade,
        layer=min(max(_integer(item.get("layer"), 0), 0), _MOST_LAYERS - 1),
        category=_code(item.get("category")),
        type=_code(item.get("type")),
        modifier=_code(item.get("modifier")),
    )


def _plain(name: str, value: int, number: int, layer: int = 0) -> Segment:
    return Segment(name=name, value=value, color=color(max(number, 0)), layer=layer)


def _code(triple: object) -> Code | None:
    if isinstance(triple, (list, tuple)) and len(triple) == 3:
        return Code(*(plain_text(part) for part in triple))
    return None


def _integer(value: object, default: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return default
    try:
        return int(value)
    except (ValueError, OverflowError):
        return default
