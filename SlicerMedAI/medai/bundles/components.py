"""Which classes are MONAI's own: found by reading its source files, without importing it."""

from __future__ import annotations

import importlib.util
import re
from functools import lru_cache
from pathlib import Path

from medai.bundles.allowed import DENIED_CLASSES, FUNCTIONS, PACKAGES

_CLASS = re.compile(r"^class ([A-Za-z]\w*)\b", re.MULTILINE)
_ALIAS = re.compile(r"^((?:[A-Z]\w* = )+)([A-Z]\w*)$", re.MULTILINE)


def is_plain(name: str) -> bool:
    """Whether a bare name in a ``_target_`` is a class or function of MONAI that needs no trust.

    MONAI looks such names up in all of its packages, so one that a package outside of the allowed ones defines as well
    is refused.
    """
    return name in FUNCTIONS or (name in _classes()[0] and name not in _classes()[1] and name not in DENIED_CLASSES)


def split_member(parts: tuple[str, ...]) -> int:
    """How many leading parts of a dotted ``monai.`` name are an allowed class or function; 0 when none is."""
    for count in range(2, len(parts) + 1):
        name, modules = parts[count - 1], parts[1 : count - 1]
        if name in FUNCTIONS and modules and _is_module(modules, functions=True):
            return count
        if name in _classes()[0] and name not in DENIED_CLASSES and modules and _is_module(modules):
            return count
    return 0


def _is_module(modules: tuple[str, ...], *, functions: bool = False) -> bool:
    path = "/".join(modules)
    roots = PACKAGES | {"utils", "apps", "apps/detection"}
    if path == "apps" or not any(path == root or path.startswith(f"{root}/") for root in roots):
        return False
    if path.startswith("utils/") and not path.startswith("utils/enums"):
        # Deeper modules of monai.utils hold the means to import and run anything.
        return functions and modules == ("utils", "misc")
    root = _monai()
    return root is None or (root / path).is_dir() or (root / f"{path}.py").is_file()


def _monai() -> Path | None:
    # find_spec of a top-level package does not run it. Not remembered: in Slicer, MONAI is installed while this runs.
    spec = importlib.util.find_spec("monai")
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def _classes() -> tuple[frozenset[str], frozenset[str]]:
    """Classes defined in the allowed packages, and in all others."""
    return _classes_below(_monai())


@lru_cache(maxsize=1)
def _classes_below(root: Path | None) -> tuple[frozenset[str], frozenset[str]]:
    allowed: set[str] = set()
    others: set[str] = set()
    for path in sorted(root.rglob("*.py")) if root else []:
        relative = path.relative_to(root).with_suffix("").as_posix() if root else ""
        inside = any(relative == package or relative.startswith(f"{package}/") for package in PACKAGES)
        text = path.read_text(encoding="utf-8", errors="replace")
        names = set(_CLASS.findall(text))
        for aliases, original in _ALIAS.findall(text):
            if original in names:
                names |= {alias.strip() for alias in aliases.split("=") if alias.strip()}
        (allowed if inside else others).update(names)
    return frozenset(allowed), frozenset(others)
