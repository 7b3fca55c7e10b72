"""For every test."""

from __future__ import annotations

import gc


def pytest_collection_finish() -> None:
    """What was imported stays: let no search for garbage look through it again, here as in a worker."""
    gc.freeze()
