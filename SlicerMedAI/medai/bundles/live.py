"""Which settings of a configuration are evaluated when a bundle runs here, and which never are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from medai.bundles import configs
from medai.bundles.expressions import references

LIVE = (
    "network",
    "network_def",
    "net",
    "inferer",
    "preprocessing",
    "postprocessing",
    "evaluator::_requires_",
    "evaluator::network",
    "evaluator::inferer",
    "evaluator::preprocessing",
    "evaluator::postprocessing",
    "evaluator::prepare_batch",
    "evaluator::amp",
    "evaluator::amp_kwargs",
    "dataset::transform",
)
"""Settings that are evaluated when a bundle runs here, with all that they refer to. Nothing else ever is."""


def live_ids(content: Mapping[str, Any]) -> set[str] | None:
    """Ids whose settings are evaluated: `LIVE`, and all that they refer to; None when that cannot be told."""
    live: set[str] = set()
    waiting = list(LIVE)
    while waiting:
        name = waiting.pop()
        if name in live:
            continue
        live.add(name)
        found = _at(content, name)
        if found is None and name not in LIVE and name.partition("::")[0] in content:
            # Where it leads is known only once macros have been replaced, or MONAI reads the id in its own way.
            return None
        for keys, text in configs.strings(found, tuple(name.split("::"))):
            named = references(text)
            if text.startswith("%"):
                named = [text[1:].replace("#", "::")]
            for reference in named:
                waiting.append(_absolute(reference, keys))
    return live


def _absolute(reference: str, keys: tuple[str, ...]) -> str:
    """Relative ids count one level up per leading separator."""
    leading = re.match(r"(?:::)*", reference)
    levels = leading.end() // 2 if leading else 0
    reference = reference[2 * levels :]
    return "::".join([*keys[: max(len(keys) - levels, 0)], reference]) if levels else reference


def _at(content: object, name: str) -> object:
    for part in name.split("::"):
        if isinstance(content, Mapping) and part in content:
            content = content[part]
        elif isinstance(content, list) and re.fullmatch(r"[0-9]{1,9}", part) and int(part) < len(content):
            content = content[int(part)]
        else:
            return None
    return content


def is_live(keys: tuple[str, ...], live: set[str] | None) -> bool:
    """Whether the setting at `keys`, or one that it is part of, is among `live`; None stands for all."""
    if live is None:
        return True
    names = parts(keys)
    return any("::".join(names[: count + 1]) in live for count in range(len(names)))


def parts(keys: tuple[str, ...]) -> list[str]:
    """Keys as MONAI sees them: ``a#b`` and ``a::b`` are a path, a leading ``+`` merges."""
    return [part for key in keys for part in key.lstrip("+").replace("#", "::").split("::")]
