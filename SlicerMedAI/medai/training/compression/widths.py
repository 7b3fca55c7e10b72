"""The same network with fewer channels, as a configuration."""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from medai.errors import InputError
from medai.training.compression.decompose import NETWORKS

Config = dict[str, Any]
_LEAST = 2
_WIDTHS: Mapping[str, tuple[str, ...]] = {
    "UNet": ("channels",),
    "AttentionUnet": ("channels",),
    "AutoEncoder": ("channels",),
    "VarAutoEncoder": ("channels",),
    "BasicUNet": ("features",),
    "DynUNet": ("filters",),
    "ResNet": ("block_inplanes",),
    "SegResNet": ("init_filters",),
    "SegResNetDS": ("init_filters",),
    "SegResNetVAE": ("init_filters",),
    "DenseNet": ("init_features", "growth_rate"),
    "DenseNet121": ("init_features", "growth_rate"),
    "DenseNet169": ("init_features", "growth_rate"),
    "DenseNet201": ("init_features", "growth_rate"),
    "SeriesForecaster": ("hidden",),
    "Generator": ("channels",),
}
"""Arguments that say how many channels each of MONAI's networks, and medai's own, has."""
_LAST_STAYS = ("AutoEncoder", "VarAutoEncoder", "Generator")
_ROW = re.compile(r"\$torch\.nn\.Sequential\(@\w+(, @\w+)*\)")
_FOLDED = re.compile(r"\$monai\.networks\.layers\.Reshape\((\d+)((?:, \d+)+)\)")


def narrowed(content: Config, ratio: float, name: str) -> Config:
    """A configuration whose networks have fewer channels.

    Parameters
    ----------
    content : dict
        Of ``inference.json``; it is not changed.
    ratio : float
        Share of the channels that goes. Codes of an autoencoder keep their length.
    name : str
        What a person calls the model.

    Raises
    ------
    InputError
        When none of its networks has a width that can be written in a configuration.
    """
    found = copy.deepcopy(content)
    count = sum(_narrow(item, ratio) for item in _objects(found) if _kind(item) in _WIDTHS)
    count = count or _narrow_row(found, ratio)
    if not count:
        raise InputError(
            f"The model '{name}' cannot be made narrower.",
            "Its network is none of those whose width a configuration says: "
            f"{', '.join(sorted(_WIDTHS))}, or layers in a row that begin with a code.",
            "Quantise or decompose it instead.",
        )
    if found == content:
        raise InputError(
            f"The model '{name}' cannot be made narrower by {ratio:g}.",
            "Its layers have so few channels that none would go.",
            "Choose a larger ratio.",
        )
    return found


def _narrow(item: Config, ratio: float) -> int:
    kind = _kind(item)
    step = _groups(item) if kind.startswith("SegResNet") else 1
    for key in _WIDTHS[kind]:
        width = item.get(key)
        if width is None:
            width = _usual(kind, key, item)
        if isinstance(width, int):
            item[key] = _rounded(width, ratio, step)
        elif isinstance(width, (list, tuple)):
            kept = len(width) - (kind in _LAST_STAYS)
            item[key] = [_rounded(size, ratio, step) for size in width[:kept]] + list(width[kept:])
    if kind == "Generator":
        item["start_shape"] = [_rounded(item["start_shape"][0], ratio, 1), *item["start_shape"][1:]]
    return 1


def _narrow_row(content: Config, ratio: float) -> int:
    """Narrow layers in a row that unfold a code: each reads what the one before makes; what the last makes stays."""
    row = next((content[key] for key in NETWORKS if key in content), "")
    if not isinstance(row, str) or _ROW.fullmatch(row) is None:
        return 0
    layers = re.findall(r"@(\w+)", row)
    made: dict[str, Config] = {name: content[name] for name in layers if isinstance(content.get(name), dict)}
    makers = [name for name, layer in made.items() if "out_channels" in layer]
    width, before = 0, ""
    for name in layers:
        folded = _FOLDED.fullmatch(str(content.get(name)))
        if folded and "out_features" in made.get(before, {}):
            channels = int(folded[1])
            width = _rounded(channels, ratio, 1)
            content[name] = f"$monai.networks.layers.Reshape({width}{folded[2]})"
            made[before]["out_features"] = made[before]["out_features"] // channels * width
        elif width and name in makers:
            layer = made[name]
            layer["in_channels"] = width
            if name != makers[-1]:
                width = layer["out_channels"] = _rounded(layer["out_channels"], ratio, _groups({"norm": None, **layer}))
        before = name
    return int(width > 0)


def _rounded(width: int, ratio: float, step: int) -> int:
    return min(width, max(round(width * (1 - ratio) / step) * step, step, _LEAST))


def _groups(item: Config) -> int:
    """Channels that a group norm normalises together divide them evenly."""
    norm = item.get("norm", ["GROUP", {"num_groups": 8}])
    named = isinstance(norm, (list, tuple)) and str(norm[0]).lower() == "group" and len(norm) > 1
    return int(norm[1].get("num_groups", 8)) if named else 1


def _usual(kind: str, key: str, item: Config) -> Any:
    """What the network takes when the configuration does not say."""
    from monai.networks import nets

    make: Callable[..., Any] = getattr(nets, kind)
    if kind == "DynUNet":
        most = 320 if item.get("spatial_dims") == 3 else 512
        return [min(2 ** (5 + level), most) for level in range(len(item["strides"]))]
    of = inspect.signature(make).parameters
    if key in of and of[key].default is not inspect.Parameter.empty:
        return of[key].default
    return inspect.signature(nets.DenseNet).parameters[key].default if kind.startswith("DenseNet") else None


def _kind(item: Mapping[str, Any]) -> str:
    return str(item.get("_target_", "")).rpartition(".")[2]


def _objects(item: Any) -> list[Config]:
    if isinstance(item, dict):
        return [item, *(inner for value in item.values() for inner in _objects(value))]
    if isinstance(item, list):
        return [inner for value in item for inner in _objects(value)]
    return []
