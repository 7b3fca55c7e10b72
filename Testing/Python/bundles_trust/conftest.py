"""Tiny bundles on disk, built here, and a user's folders that are thrown away."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from small_bundles import KIDNEY, write_bundle


@pytest.fixture(autouse=True)
def a_user_without_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    monkeypatch.setenv("MEDAI_HOME", str(home))
    monkeypatch.setenv("MEDAI_TRUST", str(home / "trusted.json"))
    monkeypatch.delenv("MEDAI_MODELS", raising=False)
    return home


@pytest.fixture
def some_metadata() -> dict[str, Any]:
    return KIDNEY.metadata()


@pytest.fixture
def an_inference_config() -> dict[str, Any]:
    return KIDNEY.config()


@pytest.fixture(scope="session")
def a_pristine_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("pristine") / "kidney", KIDNEY)


@pytest.fixture
def some_weights(a_pristine_bundle: Path) -> dict[str, Any]:
    import torch

    return dict(torch.load(a_pristine_bundle / "models" / "model.pt", weights_only=True))


@pytest.fixture
def make_bundle(tmp_path: Path, a_pristine_bundle: Path) -> Callable[..., Path]:
    """Writes a bundle; ``config`` is laid over the inference config, ``metadata`` over the metadata."""

    def make(
        name: str = "tiny_kidney",
        *,
        config: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        folder: Path | None = None,
        weights: bool = True,
    ) -> Path:
        root = (folder or tmp_path / "made") / name
        shutil.copytree(a_pristine_bundle, root)
        (root / "configs" / "metadata.json").write_text(json.dumps({**KIDNEY.metadata(), **(metadata or {})}))
        (root / "configs" / "inference.json").write_text(json.dumps({**KIDNEY.config(), **(config or {})}))
        if not weights:
            (root / "models" / "model.pt").unlink()
        return root

    return make


@pytest.fixture
def a_bundle(make_bundle: Callable[..., Path]) -> Path:
    return make_bundle()


class RunsCommand:
    """Pickled, it asks whoever unpickles it to create a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.fixture
def a_marker(tmp_path: Path) -> Path:
    """Exists after an attack has succeeded."""
    return tmp_path / "attack_succeeded"


@pytest.fixture
def an_evil_object(a_marker: Path) -> RunsCommand:
    return RunsCommand(a_marker)
