"""For every test."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Iterator
from multiprocessing.util import get_temp_dir

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
    """Keep the tests, and the workers that they start, from the models and the trust of the user who runs them, and
    what they leave behind from the folder for temporary files."""
    home = tmp_path_factory.mktemp("home")
    get_temp_dir()  # multiprocessing's own, which it removes later than this session ends
    # Not in the folder of this session: names of sockets in it would be longer than a system allows.
    temporary = tempfile.TemporaryDirectory(prefix="tests-", ignore_cleanup_errors=True)
    with temporary as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", folder)
        for name in ("TMPDIR", "TEMP", "TMP"):
            patch.setenv(name, folder)
        patch.setenv("MEDAI_HOME", str(home))
        patch.setenv("MEDAI_TRUST", str(home / "trusted.json"))
        yield


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums of floating-point numbers depend on how threads share them."""
    from medai.engine.threads import threads

    with threads(1):
        yield
