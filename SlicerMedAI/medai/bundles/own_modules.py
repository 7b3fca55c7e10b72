"""A bundle's own Python files: importable while a trusted bundle runs, gone afterwards."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medai.bundles import trust


@contextmanager
def own_modules(root: Path) -> Iterator[None]:
    """Let a trusted bundle import its own ``scripts``, without leaving them in the way of another bundle's."""
    if not trust.is_trusted(root):
        # Otherwise its files could take the place of packages that MONAI imports when it needs them.
        yield
        return
    # Packages of this name are as common as code in bundles: somebody else's must not be taken for this one's.
    others = {name: module for name, module in sys.modules.items() if _is_scripts(name)}
    for name in others:
        del sys.modules[name]
    before = set(sys.modules)
    sys.path.insert(0, str(root))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(root))
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if _is_scripts(name) or (file and Path(file).is_relative_to(root)):
                del sys.modules[name]
        sys.modules.update(others)


def _is_scripts(module: str) -> bool:
    return module.partition(".")[0] == "scripts"
