"""PyTorch's own other forms, and windows on their way onto a GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from medai.engine.backends import Backends, eager, kinds, networks, staged
from medai.engine.backends.cache import Cache
from medai.engine.backends.choice import Choice, Measured
from medai.errors import DependencyError, InputError


@pytest.mark.parametrize(("name", "shape"), [("UNet", (2, 1, 16, 16, 16)), ("plane UNet", (2, 1, 32, 48))])
def test_channels_last_gives_the_same_in_the_usual_order(
    name: str, shape: tuple[int, ...], a_network: Callable[..., torch.nn.Module], an_image: Callable[..., torch.Tensor]
) -> None:
    form = eager.in_form(a_network(name), "torch:channels_last")
    x = an_image(*shape)
    with torch.inference_mode():
        found, expected = form(x), a_network(name)(x)
    assert found.is_contiguous()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    order = torch.channels_last_3d if len(shape) == 5 else torch.channels_last
    assert any(p.ndim == len(shape) and p.is_contiguous(memory_format=order) for p in form.parameters())


def test_half_precision_ends_in_single_precision(a_network: Callable[..., torch.nn.Module]) -> None:
    seen = []
    network = a_network()
    network.model.register_forward_hook(lambda _module, _inputs, output: seen.append(output.dtype))
    output = eager.in_form(network, "torch:channels_last:bfloat16")(torch.ones(1, 1, 16, 16, 16))
    assert seen == [torch.bfloat16]
    assert output.dtype == torch.float32


def test_the_plain_form_is_the_network_itself(a_network: Callable[..., torch.nn.Module]) -> None:
    network = a_network()
    assert eager.in_form(network, "torch") is network


def test_bfloat16_is_tried_only_on_processors_made_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    assert eager.forms("cpu") == ("torch:channels_last",)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    assert eager.forms("cpu") == ("torch:channels_last", "torch:channels_last:bfloat16")
    assert eager.forms("mps") == ()


@pytest.mark.parametrize(("capability", "halves"), [((6, 1), 0), ((7, 5), 1), ((8, 6), 2), ((9, 0), 2)])
def test_half_precision_is_tried_only_on_gpus_with_units_for_it(
    capability: tuple[int, int], halves: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert len(eager.forms("cuda:0")) == 1 + halves


class Trip:
    """Stands in for a window and for ``torch.cuda``; notes down in which order what happens."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.current = SimpleNamespace(wait_event=lambda event: self.log.append(f"wait {event}"))

    def window(self, number: int) -> Any:
        def to(device: str, *, non_blocking: bool) -> Any:
            assert (device, non_blocking) == ("cuda:0", True)
            self.log.append(f"copy {number}")
            self.last = number
            return moved

        def keep(stream: Any) -> None:
            assert stream is self.current

        moved = SimpleNamespace(number=number, record_stream=keep)
        return SimpleNamespace(pin_memory=lambda: SimpleNamespace(to=to))

    def Stream(self, device: str) -> Any:  # noqa: N802 - PyTorch's name
        return SimpleNamespace(record_event=lambda: self.last)

    def current_stream(self, device: str) -> Any:
        return self.current

    @contextlib.contextmanager
    def stream(self, stream: Any) -> Iterator[None]:
        yield


def test_the_next_window_travels_before_the_one_ahead_of_it_is_computed() -> None:
    trip = Trip()
    for window in staged(map(trip.window, range(3)), "cuda:0", cuda=trip):
        trip.log.append(f"compute {window.number}")
    assert trip.log == [
        *("copy 0", "copy 1", "wait 0", "compute 0"),
        *("copy 2", "wait 1", "compute 1"),
        *("wait 2", "compute 2"),
    ]


def test_no_windows_are_no_trouble_and_the_cpu_needs_no_staging() -> None:
    assert list(staged([], "cuda:0", cuda=Trip())) == []
    x = torch.zeros(2)
    assert next(staged(iter([x]), "cpu")) is x


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """As if a package were not installed."""

    def remove(name: str) -> None:
        monkeypatch.setattr(kinds.CONVERTERS[name], "version", lambda: "")

    return remove


def test_asking_for_what_is_not_installed_says_how_to_get_it(without: Callable[[str], None], a_cache: Cache) -> None:
    without("onnxruntime")
    with pytest.raises(DependencyError, match="pip install onnxruntime onnx"):
        Backends(a_cache).network(
            a_cache.folder, "", torch.nn.Conv3d(1, 1, 1), "cpu", roi_size=(8, 8, 8), channels=1, requested="onnxruntime"
        )
    assert "onnxruntime" not in kinds.for_request("auto")


def test_a_backend_nobody_knows_is_refused(a_cache: Cache) -> None:
    with pytest.raises(InputError, match="auto, torch, openvino, onnxruntime"):
        Backends(a_cache).network(
            a_cache.folder, "", torch.nn.Conv3d(1, 1, 1), "cpu", roi_size=None, channels=1, requested="tensorrt"
        )


def test_torch_asked_for_is_torch_and_touches_nothing(a_cache: Cache) -> None:
    network = torch.nn.Conv3d(1, 1, 1)
    ready = Backends(a_cache).network(
        a_cache.folder, "", network, "cpu", roi_size=(8, 8, 8), channels=1, requested="torch"
    )
    assert ready.network is network
    assert ready.reason == "PyTorch: chosen by you"
    assert list(a_cache.folder.iterdir()) == []


def test_without_a_usable_folder_everything_stays_with_torch(a_cache: Cache) -> None:
    (a_cache.folder / "file").write_text("")
    ready = Backends(Cache(a_cache.folder / "file" / "cache")).network(
        a_cache.folder, "", torch.nn.Conv3d(1, 1, 1), "cpu", roi_size=(8, 8, 8), channels=1
    )
    assert ready.name == "torch"
    assert "no private folder" in ready.reason


def test_a_gpu_runs_torch_in_the_form_measured_there_and_remembers_it(
    a_cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []

    def measure(network: torch.nn.Module, window: tuple[int, ...], device: str) -> Choice:
        measured.append((window, device))
        return Choice("torch:channels_last", (Measured("torch:channels_last", 1.8, 1.0),))

    monkeypatch.setattr(networks, "_measured", measure)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    for _ in range(2):
        ready = Backends(a_cache).network(
            a_cache.folder, "d", torch.nn.Conv3d(1, 1, 1), "cuda:0", roi_size=(8, -1, 8), channels=1
        )
        assert ready.name == "torch:channels_last"
        assert "1.8 times faster" in ready.reason
    assert measured == [((1, 8, 96, 8), "cuda:0")]


def test_a_gpu_without_room_to_measure_runs_the_network_as_it_is(
    a_cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(*_: Any) -> Choice:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(networks, "_measured", measure)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    network = torch.nn.Conv3d(1, 1, 1)
    ready = Backends(a_cache).network(
        a_cache.folder, "d", network, "cuda:0", roi_size=None, channels=1, requested="openvino"
    )
    assert ready.network is network
    assert "OpenVINO is for the CPU only" in ready.reason


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_on_a_real_gpu_every_form_agrees_or_is_refused(
    a_network: Callable[..., torch.nn.Module], a_cache: Cache, an_image: Callable[..., torch.Tensor]
) -> None:
    network = a_network().cuda()
    ready = Backends(a_cache).network(a_cache.folder, "d", network, "cuda:0", roi_size=(16, 16, 16), channels=1)
    windows = [an_image(1, 1, 16, 16, 16, seed=seed) for seed in range(4)]
    with torch.inference_mode():
        for window, there in zip(windows, staged(windows, "cuda:0"), strict=True):
            torch.testing.assert_close(ready.network(there).cpu(), network(window.cuda()).cpu(), rtol=1e-2, atol=1e-2)
