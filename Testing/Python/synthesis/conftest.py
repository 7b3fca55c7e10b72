"""Given: generators that a test can follow."""

from __future__ import annotations

from pathlib import Path

import pytest

from small_generators import write_generator


@pytest.fixture(scope="module")
def a_generator(tmp_path_factory) -> Path:
    """Makes volumes with labels."""
    return write_generator(tmp_path_factory.mktemp("generators") / "dreamer")


@pytest.fixture(scope="module")
def a_generator_of_classes(tmp_path_factory) -> Path:
    """Makes pictures that show what they are asked for."""
    root = tmp_path_factory.mktemp("generators") / "painter"
    return write_generator(root, labels=False, conditions=("cat", "dog"), planar=True)
