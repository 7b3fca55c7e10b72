"""For every test."""

from __future__ import annotations

import gc

from hypothesis import settings

# How long an example takes depends on what else the computer does.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_collection_finish() -> None:
    """What was imported stays: let no search for garbage look through it again, here as in a worker."""
    gc.freeze()
