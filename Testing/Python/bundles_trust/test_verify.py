from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medai.bundles import integrity, library
from medai.bundles.verify import smallest_shape, verify
from medai.errors import BundleFormatError


def _failed(report):
    return {check.name for check in report.checks if not check.ok and check.essential}


def test_a_good_bundle_passes_every_check(a_bundle):
    integrity.write_pins(a_bundle)
    report = verify(a_bundle)
    assert report.ok, str(report)
    assert _failed(report) == set()
    network = next(check for check in report.checks if check.name == "network")
    assert "1 x 32 x 32 x 32 in, 3 x 32 x 32 x 32 out" in network.message


def test_a_promise_that_the_network_does_not_keep_is_found(make_bundle, some_metadata):
    some_metadata["network_data_format"]["outputs"]["pred"]["num_channels"] = 5
    report = verify(make_bundle(metadata=some_metadata))
    assert _failed(report) == {"network"}
    assert "gives 3 channels, the metadata says 5" in str(report)


def test_weights_of_another_network_are_found(make_bundle):
    import torch

    root = make_bundle()
    torch.save({"other": torch.ones(2)}, root / "models" / "model.pt")
    assert _failed(verify(root)) == {"network"}


@pytest.mark.parametrize("key", ["version", "monai_version", "network_data_format"])
def test_missing_metadata_is_named(make_bundle, key):
    report = verify(make_bundle(metadata={key: None}), run_network=False)
    assert _failed(report) == {"metadata"}
    assert key in str(report)


def test_a_changed_file_fails_and_the_network_is_not_run(a_bundle):
    integrity.write_pins(a_bundle)
    config = a_bundle / "configs" / "inference.json"
    config.write_text(config.read_text() + "\n")
    report = verify(a_bundle)
    assert _failed(report) == {"hashes", "network"}
    assert not report.ok


def test_an_attack_is_reported_and_not_run(make_bundle, a_marker):
    root = make_bundle(config={"network_def": {"_target_": "os.mkdir", "path": str(a_marker)}})
    report = verify(root)
    assert _failed(report) == {"configuration", "network"}
    assert not a_marker.exists()


def test_a_training_config_with_more_power_is_told_but_no_failure(a_bundle):
    (a_bundle / "configs" / "train.json").write_text(json.dumps({"run": "$torch.save(1, 'x')"}))
    report = verify(a_bundle, run_network=False)
    assert report.ok
    assert "torch.save" in str(report)


def test_everything_missing_is_a_report_and_no_error(tmp_path):
    report = verify(tmp_path / "nothing")
    assert not report.ok
    assert str(report)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ([96, 96, 64], (96, 96, 64)),
        (["*", "16*n", "2**p*n"], (64, 32, 32)),
        (["2**p", "8*n", "n"], (32, 32, 32)),
        (["16 * n + 1", "32*n", "(n+1)*8"], (33, 32, 32)),
        ([256, 256], (256, 256)),
        (["20*n"], (40,)),
        (["112*n"], (64,)),
    ],
)
def test_the_smallest_sensible_size_is_chosen(shape, expected):
    assert smallest_shape(shape) == expected


@pytest.mark.parametrize(
    "text", ["__import__('os')", "9**9**9**9**9", "nn*2", "n;n", "n" * 100, "9**99", "lambda:n", "n.x"]
)
def test_sizes_that_are_no_arithmetic_are_refused_or_harmless(text):
    try:
        assert all(1 <= edge <= 96 for edge in smallest_shape([text]))
    except BundleFormatError as error:
        assert "size" in error.what  # noqa: PT017 - either outcome is right


@given(st.text(alphabet="0123456789n*p+-/() ", max_size=12))
def test_no_expression_breaks_the_choice_of_a_size(text):
    try:
        (edge,) = smallest_shape([text])
    except BundleFormatError:
        return
    assert edge >= 1


def test_the_shipped_models_pass(monkeypatch):
    for model in library.models():
        if not model.problem:
            report = verify(model.root)
            assert report.ok, str(report)
