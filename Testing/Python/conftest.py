"""For every test."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from hypothesis import settings

# How long an example takes depends on what else the computer does.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_collection_finish() -> None:
    """What was imported stays: let no search for garbage look through it again, here as in a worker."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _alone(tmp_path_factory) -> Iterator[None]:
    """Keep the tests, and the workers that they start, from the models and the trust of the user who runs them."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDAI_HOME", str(home))
        patch.setenv("MEDAI_TRUST", str(home / "trusted.json"))
        yield
