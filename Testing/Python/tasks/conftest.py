from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from small_bundles import RECIPES, write_bundle


@pytest.fixture
def a_bundle(tmp_path: Path) -> Callable[..., Path]:
    """Write a bundle made from a recipe, under a name of its own."""

    def write(recipe: str = "threshold", name: str = "", **changes: Any) -> Path:
        chosen = copy.deepcopy(RECIPES[recipe])
        for key, value in changes.items():
            setattr(chosen, key, value)
        return write_bundle(tmp_path / (name or recipe), chosen)

    return write


@pytest.fixture
def a_classifier(tmp_path: Path) -> Callable[..., Path]:
    """Write a bundle that looks for brightness, under a name of its own."""
    from small_classifiers import Classifier

    def write(name: str = "brightness", **changes: Any) -> Path:
        return Classifier(**changes).write(tmp_path / name)

    return write
