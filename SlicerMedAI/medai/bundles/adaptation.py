"""A bundle's configuration, made to run here: from memory, on the chosen device, offline, with the MONAI installed.

What was checked by `medai.bundles.trust` is changed before it is evaluated, and only so that less happens: files become
images in memory, downloads are left out, a GPU that is not there is not asked for. Nothing of it changes a result.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

from medai.bundles import configs
from medai.bundles.expressions import check_import
from medai.bundles.live import is_live, live_ids
from medai.bundles.memory_io import without_file_formats

_CUDA = re.compile(r"cuda(:\d+)?")
_CUDA_LITERAL = re.compile(r"(['\"])cuda(:\d+)?\1")
_IMPORT = re.compile(r"\$\s*(import|from)\b")
_WORD = re.compile(r"[A-Za-z_]\w*")
# Arguments that networks had in earlier versions of MONAI, and what they are called now; None: they changed nothing.
_FORMER_ARGUMENTS: dict[str, str | None] = {"dimensions": "spatial_dims", "pos_embed": "proj_type", "img_size": None}
_FORMER_TRANSFORMS = {"AddChannel": "no_channel", "AsChannelFirst": -1}
# What torchvision's networks change in themselves when they are asked for weights from the internet.
_AS_IF_PRETRAINED: dict[str, dict[str, bool]] = {
    "inception_v3": {"transform_input": True, "init_weights": False},
    "googlenet": {"transform_input": True, "init_weights": False, "aux_logits": False},
}


def adapted(content: Mapping[str, Any], device: str) -> dict[str, Any]:
    """The same configuration, for this computer.

    Parameters
    ----------
    content : mapping
        Plain content of the bundle's configuration; it is not changed.
    device : str
        A PyTorch device that exists here.
    """
    needed = _without_idle_imports(content)
    changed = _changed(without_file_formats(needed), device)
    return changed if isinstance(changed, dict) else {}


def _changed(item: Any, device: str, key: str = "") -> Any:
    if isinstance(item, dict):
        part = {name: _changed(value, device, name) for name, value in item.items()}
        return _for_this_monai(part) if isinstance(part.get("_target_"), str) else part
    if isinstance(item, list):
        return [_changed(value, device) for value in item]
    if not isinstance(item, str):
        return item
    if item.startswith("$"):
        return _CUDA_LITERAL.sub(lambda found: f"{found[1]}{device}{found[1]}", item)
    return device if key == "device" and _CUDA.fullmatch(item) else item


def _without_idle_imports(content: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out imports of which only data lists and handlers make use: MONAI would run them all.

    An import that is left out may be of a package that is not installed.
    """
    live = live_ids(content)
    words: set[str] = set()
    for keys, text in configs.strings(content):
        if text.startswith("$") and not _IMPORT.match(text) and is_live(keys, live):
            words |= set(_WORD.findall(text))

    def kept(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: kept(value) for key, value in item.items()}
        if isinstance(item, list):
            return [kept(value) for value in item]
        if isinstance(item, str) and _IMPORT.match(item):
            # "import a.b" binds "a", whatever else it is called in the list of what it may be used for.
            names = {name.partition(".")[0] for name in [*check_import(item, "")[0], *_dotted(item)]}
            return item if names & words else None
        return item

    result = kept(content)
    return result if live is not None and isinstance(result, dict) else dict(content)


def _dotted(text: str) -> list[str]:
    return re.findall(r"[A-Za-z_]\w*", re.sub(r"\b(import|from|as)\b", " ", text[1:]))


def _for_this_monai(part: dict[str, Any]) -> dict[str, Any]:
    """One component, in words that the installed MONAI understands."""
    import monai.networks.nets
    import monai.transforms

    name = part["_target_"].rpartition(".")[2]
    plain = re.sub(r"(?i:d|dict)$", "", name)
    if plain in _FORMER_TRANSFORMS and not hasattr(monai.transforms, name):
        suffix = name.removeprefix(plain)
        channel_dim = part.get("channel_dim", _FORMER_TRANSFORMS[plain])
        return {**part, "_target_": f"EnsureChannelFirst{suffix}", "channel_dim": channel_dim}
    kind = getattr(monai.networks.nets, name, None)
    if not inspect.isclass(kind):
        return part
    part = _without_former_arguments(part, kind)
    if part.get("pretrained"):
        # Its own weights are loaded over all of them.
        part = {**part, "pretrained": False, **_AS_IF_PRETRAINED.get(str(part.get("model_name")), {})}
    return part


def _without_former_arguments(part: dict[str, Any], kind: type) -> dict[str, Any]:
    accepted = inspect.signature(kind).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values()):
        return part
    known = {}
    for name, value in part.items():
        now = name if name in accepted else _FORMER_ARGUMENTS.get(name, name)
        if now is not None and (now == name or (now in accepted and now not in part)):
            known[now] = value
    return known
