"""What every shipped model has to be: whole, pinned, licensed, small, and usable without anybody's trust."""

from __future__ import annotations

from pathlib import Path

import pytest

from medai.bundles import trust
from medai.bundles.description import describe
from medai.bundles.verify import verify

MODELS = Path(__file__).resolve().parents[3] / "models"
NAMES = sorted(folder.name for folder in MODELS.iterdir() if (folder / "configs").is_dir())
MEGABYTE = 1_000_000


def size(folder: Path) -> int:
    left_behind = {folder / name for name in ("runs", "eval")}
    files = [path for path in folder.rglob("*") if path.is_file() and not left_behind.intersection(path.parents)]
    return sum(path.stat().st_size for path in files)


@pytest.fixture(params=NAMES)
def a_shipped_model(request) -> Path:
    return MODELS / request.param


def test_it_is_whole_and_pinned_and_does_what_its_metadata_says(a_shipped_model):
    report = verify(a_shipped_model)
    assert report.ok, report
    (network,) = [check for check in report.checks if check.name == "network"]
    assert "  " not in network.message, "no size is left out"
    assert not describe(a_shipped_model).problem


def test_nobody_needs_to_trust_it(a_shipped_model):
    assert not trust.concerns(a_shipped_model)


def test_it_is_small_enough_for_a_laptop(a_shipped_model):
    assert size(a_shipped_model) <= 12 * MEGABYTE


def test_it_says_what_it_is_for_and_under_which_terms(a_shipped_model):
    description = describe(a_shipped_model)
    assert description.task in ("segment", "classify", "detect", "denoise", "encode", "synthesize", "forecast")
    assert "not a medical device" in description.intended_use.lower()
    for name in ("LICENSE", "docs/README.md", "docs/data_license.txt"):
        assert (a_shipped_model / name).stat().st_size > 100, name
    card = (a_shipped_model / "docs" / "README.md").read_text(encoding="utf-8")
    assert a_shipped_model.name in card
    assert "medai" in card  # the command that repeats its figures


def test_all_of_them_fit_into_a_repository():
    assert sum(size(MODELS / name) for name in NAMES) < 60 * MEGABYTE
