"""What a configuration may ask of medai's own transforms and networks without anybody having trusted it.

Transforms (`medai.transforms`) read files: a template, or another bundle. So every argument is held to what it may be,
and files are those of the bundle itself, in the very places where a training puts them. A bundle that lies there is
checked like any other before it runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from medai.bundles.expressions import Finding

_Rule = Callable[[object], bool]


def _text(pattern: str) -> _Rule:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _some(rule: _Rule) -> _Rule:
    return lambda value: rule(value) or (isinstance(value, list) and bool(value) and all(rule(one) for one in value))


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1000


def _axis(value: object) -> bool:
    return _whole(value) and value in (0, 1, 2)


def _axes(value: object) -> bool:
    """A list of different axes, or of none."""
    return isinstance(value, list) and all(map(_axis, value)) and len(set(value)) == len(value)


def _yes_or_no(value: object) -> bool:
    return isinstance(value, bool)


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e9


def _component(value: object) -> bool:
    return isinstance(value, Mapping) and "_target_" in value  # which is looked at like any other


_TITLE: Final = _text(r"[^$@%#\s][^$@#\n]{0,99}")
_COMMON: Final = {"keys": _some(_text(r"[A-Za-z]\w*")), "allow_missing_keys": _yes_or_no}
OWN_TRANSFORMS: Final[Mapping[str, Mapping[str, _Rule]]] = {
    "medai.transforms.CorrectBiasFieldd": {**_COMMON, "iterations": _some(_whole)},
    "medai.transforms.AlignToTemplated": {
        **_COMMON,
        "template": _text(r"\$@bundle_root \+ '/models/template\.nii\.gz'"),
        "mode": _some(_text("bilinear|nearest")),
    },
    "medai.transforms.DenoiseByBundled": {
        **_COMMON,
        "bundle": _text(r"\$@bundle_root \+ '/models/denoiser'"),
        "device": _text(r"@device|cpu|cuda(:\d)?"),
    },
    "medai.transforms.LoadVisitsd": {
        **_COMMON,
        "measurements": _some(_TITLE),
        "size": _some(_whole),
        "spacing": _some(_number),
        "horizon_days": lambda value: _number(value) or value == "@horizon_days",
    },
    "medai.transforms.StackVisitsd": {**_COMMON, "visits": _whole, "dates": _whole, "size": _some(_whole)},
    "medai.networks.Ensemble": {
        "members": lambda value: isinstance(value, list) and all(map(_component, value)),
        "apart": _yes_or_no,
    },
    "medai.networks.MirroredRetinaNet": {
        "network": _text("@network"),
        "axes": _some(_axis),
        "anchors": _some(_some(_number)),
    },
    "medai.networks.MirroredWindowInferer": {
        "views": lambda value: isinstance(value, list) and 1 <= len(value) <= 8 and all(map(_axes, value)),
        "roi_size": _some(_whole),
        "sw_batch_size": _whole,
        "overlap": _some(_number),
        "mode": _text("constant|gaussian"),
        "padding_mode": _text("constant|reflect|replicate|circular"),
    },
    "medai.networks.SeriesForecaster": {
        **{name: _some(_number) for name in ("means", "spreads", "changes")},
        **dict.fromkeys(("classes", "features", "hidden", "members"), _whole),
        "targets": _some(_whole),
        "cell": _text("gru|lstm"),
        "encoder": _component,
        "dropout": _number,
        "spread": lambda value: _some(_number)(value) or value == "@spread",
        "temperature": lambda value: _number(value) or value == "@temperature",
    },
    "medai.networks.WaveletBlocks": {
        "network": _component,
        "spatial_dims": lambda value: _whole(value) and value in (2, 3),
        "channels": _whole,
    },
}
"""Classes by their full names, and what each of their arguments may be."""


def argument_findings(item: Mapping[str, Any], where: str, *, plain: bool) -> list[Finding]:
    """Arguments of one of `OWN_TRANSFORMS` that are not known to be harmless.

    Parameters
    ----------
    item : mapping
        The component.
    where : str
        For the findings.
    plain : bool
        Whether no setting of the configuration is changed from another place in it, by its path or by merging.
    """
    rules = OWN_TRANSFORMS[item["_target_"]]
    found = [
        Finding(f"{where}::{name}", "is not what this step may be asked for")
        for name, value in item.items()
        if name != "_target_" and (name not in rules or not rules[name](value))
    ]
    if not plain:
        found.append(Finding(where, "may be changed from elsewhere, which cannot be checked"))
    return found
