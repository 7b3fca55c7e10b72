"""The same network with fewer channels, as a configuration."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from medai.errors import InputError

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
}
"""Arguments that say how many channels each of MONAI's networks has."""
_CODED = ("AutoEncoder", "VarAutoEncoder")


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
    if not count:
        raise InputError(
            f"The model '{name}' cannot be made narrower.",
            f"Its network is none of those whose width a configuration says: {', '.join(sorted(_WIDTHS))}.",
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
            kept = len(width) - (kind in _CODED)
            item[key] = [_rounded(size, ratio, step) for size in width[:kept]] + list(width[kept:])
    return 1


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
