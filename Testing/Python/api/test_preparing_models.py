"""A model is prepared once; every later program computes it by what was found to be faster."""

from __future__ import annotations

import numpy as np
import pytest

import medai
from medai.engine.backends import kinds
from medai.jobs import Worker
from small_bundles import TINY, write_bundle


@pytest.fixture
def a_network(tmp_path, monkeypatch):
    """A U-Net, and a cache of converted models that is its own."""
    monkeypatch.setenv("MEDAI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return write_bundle(tmp_path / "tiny", TINY)


@pytest.fixture
def a_scan():
    return medai.Volume(np.random.default_rng(5).random((20, 24, 22), np.float32), np.eye(4), "scan")


@pytest.mark.skipif(not kinds.CONVERTERS["openvino"].version(), reason="OpenVINO is not installed")
def test_what_one_program_has_prepared_the_next_one_computes_with(a_network, a_scan):
    heard = []
    with Worker() as worker:
        found = medai.prepare_model(a_network, backend="openvino", worker=worker, on_progress=heard.append)
    forms = found.table.columns
    assert forms["Form"] == ("PyTorch", "OpenVINO")
    assert forms["Used"] == (False, True)
    assert forms["Agreement (%)"][1] >= 99.99
    assert forms["Times faster than PyTorch"][1] > 0
    assert found.provenance.notes[-1].startswith("OpenVINO: ")
    assert "Converting and measuring" in {progress.stage for progress in heard}

    stages = set()
    with Worker() as another:
        fast = medai.segment(
            a_scan, a_network, backend="openvino", worker=another, on_progress=lambda told: stages.add(told.stage)
        )
        plain = medai.segment(a_scan, a_network, backend="torch", worker=another)
    assert any(note.startswith("OpenVINO: ") for note in fast.provenance.notes)
    assert np.mean(fast.labelmap.array == plain.labelmap.array) >= 0.9999


def test_pytorch_needs_no_preparation(a_network):
    found = medai.prepare_model(a_network, backend="torch", in_process=True)
    assert found.table.columns["Used"] == (True,)
    assert found.provenance.notes[-1] == "PyTorch: chosen by you"


def test_a_backend_that_does_not_exist_is_refused_at_once(a_network):
    with pytest.raises(medai.MedAIError, match="backend"):
        medai.prepare_model(a_network, backend="abacus")


def test_an_unknown_model_is_refused_at_once():
    with pytest.raises(medai.MedAIError):
        medai.prepare_model("nobody_has_this")
