"""Patients who come back: heads made for each test, where everything about them is known."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from medai.volume import Affine, Volume, apply_affine

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.fixture
def ms_followup() -> Path:
    folder = SHARED / "ms_followup"
    if not folder.is_dir():
        pytest.skip("the shared data are not here")
    return folder


def head_at(points: NDArray[np.float64], lesions: tuple[tuple[float, float, float, float], ...] = ()) -> NDArray:
    """Brightness of a head without any symmetry at RAS points of shape (N, 3); lesions are (r, a, s, radius) in mm."""
    value = np.zeros(len(points))

    def blob(centre: tuple[float, ...], size: tuple[float, ...], amount: float, sharpness: float = 12) -> None:
        distance = np.sqrt((((points - centre) / size) ** 2).sum(axis=1))
        value[:] += amount / (1 + np.exp(np.clip((distance - 1) * sharpness, -50, 50)))

    blob((0, 0, 0), (60, 75, 55), 60)
    blob((0, 0, 0), (54, 69, 49), 40)
    blob((14, 8, 4), (7, 22, 9), -60)
    blob((-15, 5, 5), (8, 25, 10), -60)
    blob((20, -40, -20), (20, 14, 12), 25)
    blob((-28, 35, 15), (12, 10, 14), 20)
    blob((-5, -10, 30), (9, 15, 7), -25)
    for r, a, s, radius in lesions:
        blob((r, a, s), (radius,) * 3, 60, sharpness=4 * radius)
    return value


@pytest.fixture
def a_head() -> Callable[..., Volume]:
    """A head as a scanner sees it: `motion` takes the points of the patient to where they lie in the scanner."""

    def make(
        affine: Affine,
        shape: tuple[int, int, int],
        *,
        motion: Affine | None = None,
        lesions: tuple[tuple[float, float, float, float], ...] = (),
        noise: float = 1.0,
        seed: int = 0,
        name: str = "FLAIR",
        day: date | None = None,
    ) -> Volume:
        k, j, i = np.indices(shape).reshape(3, -1)
        to_patient = np.linalg.inv(np.eye(4) if motion is None else motion) @ affine
        values = head_at(apply_affine(to_patient, np.stack([i, j, k], axis=1).astype(float)), lesions)
        values = values.reshape(shape) + np.random.default_rng(seed).normal(0, noise, shape)
        return Volume(np.maximum(values, 0).astype(np.float32), affine, name, "MR", name, date=day)

    return make
