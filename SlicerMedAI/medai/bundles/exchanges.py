"""Layers of a network that a configuration puts others in the place of, without anybody having trusted it.

MONAI's ``replace_modules`` sets an attribute of whatever it is given. So what it may be given is held to one form: a
network under `WHOLE`, made here of MONAI's or PyTorch's classes, and layers ``factors_0``, ``factors_1``, ..., made of
PyTorch's alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from medai.bundles.expressions import Finding

EXCHANGE: Final = "monai.networks.utils.replace_modules"
WHOLE: Final = "undivided_network"
FACTORS: Final = "factors_"
_CLASS = re.compile(r"([a-z]\w*\.)*[A-Z]\w*")
_IN_A_ROW = re.compile(r"\$torch\.nn\.Sequential\(@\w+(, @\w+)*\)")
_PLACE = re.compile(r"[A-Za-z0-9]\w*(\.[A-Za-z0-9]\w*)*")
_FACTORS = re.compile(rf"@({FACTORS}\d+)")


def exchange_findings(item: Mapping[str, Any], content: Mapping[str, Any], where: str, *, plain: bool) -> list[Finding]:
    """What of an exchange of layers is not known to be harmless.

    Parameters
    ----------
    item : mapping
        The call of `EXCHANGE`.
    content : mapping
        The whole configuration.
    where : str
        For the findings.
    plain : bool
        Whether no setting of the configuration is changed from another place in it, by its path or by merging.
    """
    layer = _FACTORS.fullmatch(str(item.get("new_module")))
    made = str(content.get(layer[1])) if layer else ""
    rules = {
        "_target_": True,
        "parent": item.get("parent") == f"@{WHOLE}" and _is_network(content.get(WHOLE)),
        "name": _PLACE.fullmatch(str(item.get("name"))) is not None,
        "new_module": made.startswith("$torch.nn.Sequential("),
        "match_device": item.get("match_device") is False,
    }
    wrong = [name for name in {**rules, **item} if not rules.get(name, False)]
    found = [Finding(f"{where}::{name}", "is not what layers may be exchanged with") for name in wrong]
    if not plain:
        found.append(Finding(where, "may be changed from elsewhere, which cannot be checked"))
    return found


def _is_network(made: object) -> bool:
    """Whether it is an instance of a class, and no module, class or function of a library."""
    if isinstance(made, Mapping):
        return "_mode_" not in made and _CLASS.fullmatch(str(made.get("_target_"))) is not None
    return isinstance(made, str) and _IN_A_ROW.fullmatch(made) is not None
