"""Forecasters by each method: what comes out forecasts, and was judged by how the visits went on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import medai
from medai.bundles import quantized
from medai.bundles.verify import verify
from medai.errors import BundleTamperedError, InputError
from medai.tasks.forecast.course import Course, Visit
from medai.tasks.forecast.model import ForecastModel
from monai_process import run_bundle
from small_forecasters import TARGET, write_forecaster, write_visits

COURSE = Course("A", tuple(Visit(365.0 * n, {TARGET: 3.2 - 0.1 * n}) for n in range(3)))


@pytest.fixture(scope="module")
def of_tables(tmp_path_factory) -> tuple[Path, Path]:
    """A forecaster of measurements alone, and visits."""
    folder = tmp_path_factory.mktemp("tables")
    return write_forecaster(folder / "teller", images=False), write_visits(folder, images=False)


@pytest.fixture(scope="module")
def of_images(tmp_path_factory) -> tuple[Path, Path]:
    """A forecaster that sees images, and visits with images."""
    folder = tmp_path_factory.mktemp("images")
    return write_forecaster(folder / "seer", images=True), write_visits(folder, images=True, subjects=6)


@pytest.mark.parametrize("method", ["quantize", "prune", "distill", "decompose"])
@pytest.mark.parametrize("kind", ["of_tables", "of_images"])
def test_a_forecaster_by_each_method(kind, method, request, tmp_path, command):
    root, visits = request.getfixturevalue(kind)
    output = tmp_path / "smaller"
    if (kind, method) == ("of_tables", "decompose"):
        with pytest.raises(InputError, match="no convolutions"):
            medai.compress_model(root, method, visits, output=output, in_process=True)
        return
    rows = command(root, method, "--data", visits, "--output", output, "--energy", 0.5, "--set", "epochs=2")
    assert {f"mae_next ({TARGET})", "auroc"} <= set(rows)
    assert verify(output).ok
    before, after = (ForecastModel(place, "cpu") for place in (root, output))
    days = [1095.0, 1460.0]
    found, expected = after.forecast(COURSE, days), before.forecast(COURSE, days)
    assert found.location.shape == expected.location.shape
    assert quantized.in_int8(after.network) == (method == "quantize")
    if method == "quantize":
        np.testing.assert_allclose(found.location, expected.location, atol=0.3)
        assert not np.array_equal(found.location, expected.location)
    else:
        weights = [sum(one.numel() for one in model.network.parameters()) for model in (before, after)]
        assert weights[1] < weights[0]


def test_a_quantized_forecaster_is_measured_says_so_and_goes_through_monai(of_tables, tmp_path):
    root, visits = of_tables
    result = medai.compress_model(root, "quantize", visits, output=tmp_path / "small", in_process=True)
    rows = dict(zip(result.table.columns["Quantity"], result.table.columns["After"], strict=True))
    assert rows["CPU time per series"] > 0
    told = medai.forecast(visits, tmp_path / "small", in_process=True)
    assert any("8-bit" in note for note in told.provenance.notes)
    (tmp_path / "one").mkdir()
    lines = visits.read_text(encoding="utf-8").splitlines()
    (tmp_path / "one" / "s.csv").write_text("\n".join(lines[:4]) + "\n", encoding="utf-8")
    small = tmp_path / "small"
    places = {"config_file": small / "configs" / "inference.json", "bundle_root": small}
    places |= {"dataset_dir": tmp_path / "one", "output_dir": tmp_path / "eval"}
    run_bundle(*(f"--{name}={path}" for name, path in places.items()), cwd=tmp_path)
    assert (tmp_path / "eval" / "forecasts.csv").is_file()
    part = next(iter((tmp_path / "small" / "models").glob("int8.members.1.bin")))
    part.write_bytes(part.read_bytes()[:-4] + b"abcd")
    with pytest.raises(BundleTamperedError):
        medai.forecast(visits, tmp_path / "small", in_process=True)


def test_units_of_a_recurrent_layer_that_nobody_reads_go_first():
    import torch

    from medai.networks.forecaster import SeriesForecaster
    from medai.training.compression.prune import pruned

    common = {"means": [0.0], "spreads": [1.0], "changes": [1.0], "targets": [0], "members": 1}
    torch.manual_seed(0)
    large, small = (SeriesForecaster(hidden=hidden, cell="lstm", **common).eval() for hidden in (6, 4))
    member = large.members[0]
    torch.nn.init.normal_(member.head.weight)
    silent = [1, 4]
    with torch.no_grad():  # two units of the recurrent layer that nobody reads
        member.recurrent.weight_hh_l0[:, silent] = 0
        for gate in range(4):
            for unit in silent:
                member.recurrent.weight_hh_l0[gate * 6 + unit] = 0
                member.recurrent.weight_ih_l0[gate * 6 + unit] = 0
        member.head.weight[:, silent] = 0
    call = (torch.randn(1, 3, 1), torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([[3.0]]))
    state = pruned(large, small, call, "teller")
    kept = [0, 2, 3, 5]
    rows = [gate * 6 + unit for gate in range(4) for unit in kept]
    expected = member.recurrent.weight_hh_l0[rows][:, kept]
    torch.testing.assert_close(state["members.0.recurrent.weight_hh_l0"], expected)
