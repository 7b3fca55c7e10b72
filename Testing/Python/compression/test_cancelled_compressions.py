"""In the worker process: a compression that is cancelled while it trains leaves nothing that is listed."""

from __future__ import annotations

import shutil

import pytest

import medai
from medai.bundles import integrity
from medai.errors import JobCancelled
from medai.jobs.worker import Worker


def test_a_cancelled_compression_leaves_the_original_as_it_was(a_model, some_cases, tmp_path):
    root = shutil.copytree(a_model, tmp_path / "library" / "tiny")
    before = integrity.digest(root)
    asked: list[str] = []

    def stop(progress: medai.Progress) -> None:
        if progress.stage == "Training":
            asked.append(progress.stage)
            raise KeyboardInterrupt

    with Worker() as worker, pytest.raises((KeyboardInterrupt, JobCancelled)):
        medai.compress_model(
            root, "prune", some_cases, replace=True, worker=worker, on_progress=stop, parameters={"epochs": 500}
        )
    assert asked
    assert integrity.digest(root) == before
    assert [path.name for path in root.parent.iterdir()] == ["tiny"]
