from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from medai.training.evaluation import Bootstrap, BoxArray, Options, SegmentationCase
from medai.volume import Volume


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def few_draws() -> Options:
    return Options(how=Bootstrap(resamples=30), worst=2)


@pytest.fixture
def a_volume() -> Callable[..., Volume]:
    """A volume with a spacing in mm along (i, j, k)."""

    def build(array: Any, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Volume:
        return Volume(np.asarray(array), np.diag([*spacing, 1.0]))

    return build


@pytest.fixture
def a_cube() -> Callable[..., np.ndarray]:
    """A mask with a cube in it."""

    def build(start: int = 4, stop: int = 10, size: int = 16, value: int = 1) -> np.ndarray:
        mask = np.zeros((size,) * 3, np.uint8)
        mask[start:stop, start:stop, start:stop] = value
        return mask

    return build


@pytest.fixture
def a_segmentation_case(a_volume: Callable[..., Volume], a_cube: Callable[..., np.ndarray]) -> Callable[..., Any]:
    """A case whose prediction is the reference cube moved by some voxels."""

    def build(name: str = "case", shift: int = 0, patient: str = "") -> SegmentationCase:
        reference = a_cube()
        return SegmentationCase(
            name=name,
            patient=patient,
            image=a_volume(reference * 100.0),
            reference=a_volume(reference),
            prediction=a_volume(np.roll(reference, shift, axis=0)),
        )

    return build


@pytest.fixture
def boxes() -> Callable[..., BoxArray]:
    """Boxes of one class from their corners."""

    def build(*corners: tuple[float, ...], scores: tuple[float, ...] = (), dimensions: int = 2) -> BoxArray:
        array = np.array(corners, dtype=float).reshape(-1, 2 * dimensions)
        return BoxArray(array, ("lesion",) * len(array), np.array(scores))

    return build
