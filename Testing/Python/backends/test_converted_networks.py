"""Real networks through the real converters."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import SlidingWindowInferer

from medai.engine.backends import kinds, openvino
from medai.engine.backends.converted import ConvertedNetwork, Runner

Network = Callable[..., torch.nn.Module]
Image = Callable[..., torch.Tensor]
Given = Callable[[str], tuple[torch.nn.Module, tuple[int, ...]]]

NAMES = ["UNet", "UNet of four channels", "UNet of one output", "plane UNet", "SegResNet", "DynUNet", "DenseNet"]


@pytest.fixture(scope="module")
def converted(a_network_and_window: Given, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Runner]:
    """A network of that name, converted and loaded; each is converted once."""

    @lru_cache
    def convert(backend: str, name: str = "UNet", *, fixed: bool = False) -> Runner:
        converter, folder = kinds.CONVERTERS[backend], tmp_path_factory.mktemp("converted")
        if not converter.version():
            pytest.skip(f"{backend} is not installed")
        network, window = a_network_and_window(name)
        converter.convert(network, torch.rand(1, *window), folder, fixed=fixed)
        return converter.load({path.name: path.read_bytes() for path in folder.iterdir()}, 1, window)

    return convert


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("name", NAMES)
def test_gives_what_the_network_gives_for_any_batch_and_size(
    backend: str, name: str, converted: Callable[..., Runner], a_network_and_window: Given, an_image: Image
) -> None:
    network, window = a_network_and_window(name)
    run = converted(backend, name)
    larger = (window[0], *(2 * size for size in window[1:-1]), window[-1])
    with torch.inference_mode():
        for shape in ((1, *window), (3, *window), (2, *larger), (1, *window)):
            x = an_image(*shape)
            torch.testing.assert_close(run(x), network(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_an_output_is_not_changed_by_the_next_call(
    backend: str, converted: Callable[..., Runner], an_image: Image
) -> None:
    run = converted(backend)
    for size in (16, 32):
        first = run(an_image(1, 1, size, size, size))
        before = first.clone()
        second = run(an_image(1, 1, size, size, size, seed=1))
        assert torch.equal(first, before)
        assert not torch.equal(first, second)


@pytest.fixture
def a_runner(a_network_and_window: Given) -> Callable[..., openvino.OpenVINORunner]:
    """The small UNet in OpenVINO, with so many threads."""
    if not openvino.version():
        pytest.skip("OpenVINO is not installed")
    network, window = a_network_and_window("UNet")

    def make(threads: int = 2, *, fixed: bool = False) -> openvino.OpenVINORunner:
        return openvino.OpenVINORunner(
            openvino.converted(network, torch.rand(1, *window), fixed=fixed), threads, window
        )

    return make


@pytest.mark.parametrize("fixed", [False, True])
def test_windows_that_are_computed_two_at_once_are_what_each_is_alone(
    fixed: bool, a_runner: Callable[..., openvino.OpenVINORunner], an_image: Image
) -> None:
    run, alone, x = a_runner(fixed=fixed), a_runner(1), an_image(5, 1, 16, 16, 16)
    assert (run.at_once((1, 16, 16, 16)), alone.at_once((1, 16, 16, 16))) == (2, 1)
    expected = torch.cat([alone(one) for one in x.split(1)])
    for count in (4, 1, 1, 5, 3, 2, 1):
        torch.testing.assert_close(run(x[:count]), expected[:count], rtol=1e-5, atol=1e-5)


def test_only_windows_of_the_expected_size_are_better_handed_over_together(
    a_runner: Callable[..., openvino.OpenVINORunner],
) -> None:
    assert a_runner().at_once((1, 32, 16, 16)) == 1
    assert a_runner(3).at_once((1, 16, 16, 16)) == 1  # one thread would be left over


def test_two_windows_are_computed_at_once_only_where_memory_has_room_for_both(
    a_runner: Callable[..., openvino.OpenVINORunner], an_image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [0]
    monkeypatch.setattr("medai.engine.streaming.available.available_bytes", lambda: free[0])
    run, x = a_runner(), an_image(2, 1, 16, 16, 16)
    assert run.at_once((1, 16, 16, 16)) == 1
    expected = run(x)
    free[0] = 2**30
    assert run.at_once((1, 16, 16, 16)) == 2
    torch.testing.assert_close(run(x), expected, rtol=1e-5, atol=1e-5)
    monkeypatch.setattr(openvino, "_MOST_BYTES_OF_ANOTHER", 1000)
    assert a_runner().at_once((1, 16, 16, 16)) == 1


def test_when_two_windows_at_once_fail_they_are_computed_one_by_one_unseen(
    a_runner: Callable[..., openvino.OpenVINORunner],
    a_network: Network,
    an_image: Image,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    run, x = a_runner(), an_image(4, 1, 16, 16, 16)
    form, asked = run._form, []

    def form_for_one(name: str) -> object:
        asked.append(name)
        if name == openvino._PAIR:
            raise RuntimeError("bad allocation")
        return form(name)

    monkeypatch.setattr(run, "_form", form_for_one)
    ready = ConvertedNetwork(a_network(), run)
    with torch.inference_mode(), caplog.at_level(logging.WARNING):
        for _ in range(2):
            torch.testing.assert_close(ready(x), a_network()(x), rtol=1e-4, atol=1e-4)
    assert asked.count(openvino._PAIR) == 1
    assert ready.at_once((1, 16, 16, 16)) == 1
    assert not caplog.text


def test_works_inside_monais_own_sliding_windows(
    converted: Callable[..., Runner], a_network: Network, an_image: Image
) -> None:
    network = a_network()
    ready = ConvertedNetwork(network, converted("openvino"))
    inferer = SlidingWindowInferer((16, 16, 16), sw_batch_size=4, overlap=0.5, mode="gaussian")
    x = an_image(1, 1, 30, 20, 27)
    with torch.inference_mode():
        torch.testing.assert_close(inferer(x, ready), inferer(x, network), rtol=1e-4, atol=1e-4)


def test_a_model_converted_for_one_window_takes_them_one_by_one_and_leaves_others_to_the_network(
    converted: Callable[..., Runner], a_network: Network, an_image: Image
) -> None:
    network, window = a_network(), (1, 16, 16, 16)
    run, shapes = converted("openvino", fixed=True), []

    def watched(x: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(x.shape))
        return run(x)

    ready = ConvertedNetwork(network, watched, window)
    with torch.inference_mode():
        for shape in ((2, *window), (1, 1, 32, 16, 16)):
            x = an_image(*shape)
            torch.testing.assert_close(ready(x), network(x), rtol=1e-4, atol=1e-4)
    assert shapes == [(1, *window)] * 2


def test_metadata_of_an_image_passes_through(
    converted: Callable[..., Runner], a_network: Network, an_image: Image
) -> None:
    network = a_network()
    ready = ConvertedNetwork(network, converted("openvino"))
    x = MetaTensor(an_image(1, 1, 16, 16, 16), affine=torch.diag(torch.tensor([2.0, 3, 4, 1])), meta={"name": "a"})
    with torch.inference_mode():
        found, expected = ready(x), network(x)
    assert isinstance(found, MetaTensor)
    assert found.meta["name"] == expected.meta["name"]
    assert torch.equal(found.affine, expected.affine)
    torch.testing.assert_close(found.as_tensor(), expected.as_tensor(), rtol=1e-4, atol=1e-4)


def test_gradients_and_double_precision_come_from_the_network_itself(a_network: Network, an_image: Image) -> None:
    ready = ConvertedNetwork(a_network(), lambda _: pytest.fail("the converted model was called"))
    x = an_image(1, 1, 16, 16, 16).requires_grad_()
    ready(x).sum().backward()
    assert x.grad is not None
    assert ready.double()(x.detach().double()).dtype == torch.float64


def test_after_a_failure_the_network_itself_goes_on(
    a_network: Network, an_image: Image, caplog: pytest.LogCaptureFixture
) -> None:
    calls = []

    def fail(x: torch.Tensor) -> torch.Tensor:
        calls.append(x)
        raise RuntimeError("bad allocation")

    network = a_network()
    ready, x = ConvertedNetwork(network, fail), an_image(1, 1, 16, 16, 16)
    with torch.inference_mode(), caplog.at_level(logging.WARNING):
        assert torch.equal(ready(x), network(x))
        assert torch.equal(ready(x), network(x))
    assert len(calls) == 1
    assert "bad allocation" in caplog.text


def test_openvinos_statistics_are_never_loaded(converted: Callable[..., Runner]) -> None:
    converted("openvino")
    assert "openvino" in sys.modules
    assert sys.modules.get("openvino_telemetry") is None


def test_a_network_that_openvino_cannot_convert_leaves_logging_to_everybody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Untraceable(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("this cannot be traced")

    converter = kinds.CONVERTERS["openvino"]
    if not converter.version():
        pytest.skip("openvino is not installed")
    before = list(logging.root.filters), logging.root.level
    with pytest.raises(RuntimeError, match="cannot be traced"):
        converter.convert(Untraceable().eval(), torch.zeros(1, 1, 8, 8), tmp_path, fixed=False)
    assert (list(logging.root.filters), logging.root.level) == before
    logging.warning("somebody else's warning")
    assert "somebody else's warning" in caplog.text
