"""Series with planted rates, and a forecaster that has learned them in seconds."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from medai.api import run_here
from medai.api.training import prepare_training

QUICK: dict[str, object] = {
    "targets": ["Volume (mL)"],
    "epochs": 12,
    "batch_size": 16,
    "learning_rate": 0.02,
    "members": 2,
    "width": 8,
}
RATES = {"slow": -0.02, "fast": -0.25}


@pytest.fixture(scope="session")
def planted_rates(tmp_path_factory) -> Path:
    """A table of 40 subjects with 3 to 5 visits, who lose volume slowly or fast; a few cells are empty."""
    path = tmp_path_factory.mktemp("visits") / "visits.csv"
    rng = np.random.default_rng(3)
    rows = []
    for number in range(40):
        group = ("slow", "fast")[number % 2]
        begin, level, day = date(2020, 1, 1) + timedelta(days=int(rng.integers(900))), 3 + rng.random(), 0
        for visit in range(int(rng.integers(3, 6))):
            volume = level + RATES[group] * day / 365.25 + rng.normal(0, 0.06)
            rows.append(
                {
                    "Subject ID": f"S{number:02d}",
                    "Visit": visit + 1,
                    "Date": (begin + timedelta(days=day)).isoformat(),
                    "Group": group,
                    "Volume (mL)": "" if rng.random() < 0.05 and visit else f"{volume:.4f}",
                    "Score": int(rng.integers(20, 31)),
                }
            )
            day += int(rng.integers(200, 700))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="session")
def quick() -> dict[str, object]:
    """Parameters of a training of seconds."""
    return dict(QUICK)


@pytest.fixture(scope="session")
def a_forecaster(planted_rates, tmp_path_factory) -> Path:
    """A bundle that has learned the planted rates."""
    root = tmp_path_factory.mktemp("models") / "quick_forecaster"
    run_here(prepare_training(planted_rates, "forecast", root, parameters=QUICK))
    return root


@pytest.fixture
def a_table(tmp_path) -> Callable[..., Path]:
    """Makes a table of visits, of rows (subject, date, volume, score)."""

    def make(*rows: tuple[object, ...], titles: str = "Subject ID,Date,Volume (mL),Score") -> Path:
        path = tmp_path / "asked.csv"
        path.write_text("\n".join([titles, *(",".join(map(str, row)) for row in rows)]) + "\n", encoding="utf-8")
        return path

    return make
