"""A form of a network is used only when it agrees and is faster."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from medai.engine.backends import eager, probe
from medai.engine.backends.choice import Choice, Measured, best, sentence
from medai.engine.backends.measuring import Measuring

WINDOW = (1, 8, 8, 8)


class Slow(torch.nn.Module):
    """Two labels by sign; dawdles."""

    def __init__(self, seconds: float = 0.02) -> None:
        super().__init__()
        self.seconds = seconds

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        time.sleep(self.seconds)
        return torch.cat([x, -x], 1)


@pytest.fixture
def a_converter() -> Callable[..., Any]:
    """A converter whose model computes the given function."""

    def make(run: Callable[[torch.Tensor], torch.Tensor], *, only_fixed: bool = False) -> Any:
        def convert(network: torch.nn.Module, example: torch.Tensor, folder: Path, *, fixed: bool) -> None:
            if only_fixed and not fixed:
                raise RuntimeError("sizes must be known")
            (folder / "model").write_bytes(b"fixed" if fixed else b"any")

        def load(files: Mapping[str, bytes], threads: int, window: tuple[int, ...] | None) -> Any:
            return run

        return SimpleNamespace(NAME="double", TITLE="Double", PACKAGES=(), convert=convert, load=load)

    return make


@pytest.fixture(autouse=True)
def _no_other_forms_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eager, "forms", lambda device: ())


def test_a_faster_form_that_agrees_is_chosen(a_converter: Callable[..., Any], tmp_path: Path) -> None:
    converter = a_converter(lambda x: torch.cat([x, -x], 1))
    choice, folder = Measuring(Slow(), WINDOW).choose({"double": converter}, tmp_path)
    assert choice.backend == "double"
    assert choice.window is None
    assert choice.winner is not None
    assert choice.winner.agreement == 1
    assert choice.winner.ratio > 1
    assert folder is not None
    assert (folder / "model").read_bytes() == b"any"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: torch.cat([-x, x], 1),
        lambda x: torch.cat([x + 0.01, -x], 1),
        lambda x: torch.cat([x, -x], 1) * 1.01,
        lambda x: torch.cat([x, -x], 1)[:, :, 1:],
        lambda x: torch.cat([x, -x], 1).double(),
        lambda x: torch.cat([x, -x], 1) / 0,
        lambda x: [x],
        lambda x: x.not_there,
    ],
    ids=["swapped", "shifted", "scaled", "cropped", "double", "infinite", "list", "raises"],
)
def test_a_form_that_gives_something_else_is_refused(
    wrong: Callable[[torch.Tensor], torch.Tensor], a_converter: Callable[..., Any], tmp_path: Path
) -> None:
    choice, folder = Measuring(Slow(0), WINDOW).choose({"double": a_converter(wrong)}, tmp_path, "double")
    assert choice.backend == "torch"
    assert folder is None
    assert "double" in choice.refused


def test_a_single_wrong_voxel_in_a_thousand_is_too_many(a_converter: Callable[..., Any], tmp_path: Path) -> None:
    def nearly(x: torch.Tensor) -> torch.Tensor:
        output = torch.cat([x, -x], 1)
        output.flatten()[::1000] *= -1
        return output

    choice, _ = Measuring(Slow(0), WINDOW).choose({"double": a_converter(nearly)}, tmp_path, "double")
    assert "labels agree on 99." in choice.refused["double"]


def test_a_form_that_fails_for_other_sizes_is_used_for_the_window_alone(
    a_converter: Callable[..., Any], tmp_path: Path
) -> None:
    def only_windows(x: torch.Tensor) -> torch.Tensor:
        assert x.shape == (1, *WINDOW)
        return torch.cat([x, -x], 1)

    choice, folder = Measuring(Slow(), WINDOW).choose({"double": a_converter(only_windows)}, tmp_path)
    assert choice.window == WINDOW
    assert folder is not None
    assert (folder / "model").read_bytes() == b"fixed"


def test_a_network_that_cannot_be_converted_for_all_sizes_is_converted_for_one(
    a_converter: Callable[..., Any], tmp_path: Path
) -> None:
    converter = a_converter(lambda x: torch.cat([x, -x], 1), only_fixed=True)
    choice, _ = Measuring(Slow(), WINDOW).choose({"double": converter}, tmp_path)
    assert (choice.backend, choice.window, choice.refused) == ("double", WINDOW, {})


def test_a_slower_form_is_used_only_when_asked_for(a_converter: Callable[..., Any], tmp_path: Path) -> None:
    class Quick(Slow):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([x, -x], 1)

    slow = a_converter(Slow())
    assert Measuring(Quick(), WINDOW).choose({"double": slow}, _made(tmp_path / "a"))[0].backend == "torch"
    assert Measuring(Quick(), WINDOW).choose({"double": slow}, _made(tmp_path / "b"), "double")[0].backend == "double"


def test_the_next_library_is_tried_when_the_first_is_of_no_use(a_converter: Callable[..., Any], tmp_path: Path) -> None:
    converters = {"wrong": a_converter(lambda x: x), "right": a_converter(lambda x: torch.cat([x, -x], 1))}
    choice, folder = Measuring(Slow(), WINDOW).choose(converters, tmp_path)
    assert choice.backend == "right"
    assert folder is not None
    assert folder.name == "right"


@pytest.mark.parametrize("output", [lambda x: (x, x), lambda x: {"boxes": x}, lambda x: [x]])
def test_a_network_with_another_kind_of_output_is_left_to_torch(
    output: Callable[[torch.Tensor], Any], a_converter: Callable[..., Any], tmp_path: Path
) -> None:
    class Detector(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return output(x)

    converter = a_converter(lambda x: pytest.fail("it was converted"))
    choice, _ = Measuring(Detector(), WINDOW).choose({"double": converter}, tmp_path)
    assert choice.backend == "torch"
    assert "not one tensor" in choice.refused["torch"]


def test_a_network_that_takes_its_window_only_is_used_one_window_at_a_time(
    a_converter: Callable[..., Any], tmp_path: Path
) -> None:
    class OneSize(Slow):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert x.shape[1:] == WINDOW
            return super().forward(x)

    converter = a_converter(lambda x: torch.cat([x, -x], 1))
    choice, _ = Measuring(OneSize(), WINDOW).choose({"double": converter}, tmp_path)
    assert (choice.backend, choice.window) == ("double", WINDOW)


def test_running_out_of_memory_decides_nothing(a_converter: Callable[..., Any], tmp_path: Path) -> None:
    def exhaust(x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("DefaultCPUAllocator: not enough memory")

    with pytest.raises(RuntimeError, match="not enough memory"):
        Measuring(Slow(0), WINDOW).choose({"double": a_converter(exhaust)}, tmp_path)


def test_sizes_that_the_network_itself_refuses_are_no_reason_against_a_form(
    a_converter: Callable[..., Any], tmp_path: Path
) -> None:
    class Picky(Slow):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if any(size % 2 for size in x.shape[2:]):
                raise RuntimeError("sizes must be even")
            return super().forward(x)

    converter = a_converter(lambda x: torch.cat([x, -x], 1))
    choice, _ = Measuring(Picky(), WINDOW).choose({"double": converter}, tmp_path)
    assert (choice.backend, choice.window) == ("double", None)


def test_probe_images_are_the_window_and_a_pair_of_another_size_and_one_of_odd_size() -> None:
    images = probe.inputs(2, (96, 96, 96))
    again = probe.inputs(2, (96, 96, 96))
    assert all(torch.equal(one, other) for one, other in zip(images, again, strict=True))
    assert [tuple(image.shape[:2]) for image in images] == [(1, 2), (2, 2), (1, 2)]
    assert [tuple(image.shape[2:]) for image in images[:2]] == [(96, 96, 96), (96, 64, 64)]
    assert all(size % 2 == 1 for size in images[2].shape[2:])


class Classes(torch.nn.Module):
    """Many classes; notes down how large its inputs are."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.seen: list[tuple[int, ...]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(tuple(x.shape))
        return x.repeat(1, self.count, 1, 1)


def test_a_network_of_many_classes_is_tried_on_images_smaller_than_its_window(
    a_converter: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 96 * 96
    limit = 50 * 4 * most
    monkeypatch.setattr("medai.engine.backends.measuring._MOST_OUTPUT_BYTES", limit)
    network = Classes(50)
    measuring = Measuring(network, (1, 128, 128))
    assert 0 < measuring.output_bytes <= limit
    converter = a_converter(lambda x: x.repeat(1, 50, 1, 1))
    choice, _ = measuring.choose({"double": converter}, tmp_path, "double")
    assert (choice.backend, choice.window) == ("double", None)
    assert all(batch * height * width <= most for batch, _, height, width in network.seen)
    assert any(batch == 2 for batch, *_ in network.seen)


def test_a_network_of_many_classes_that_takes_its_window_only_is_tried_on_that(
    a_converter: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OneSize(Classes):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert x.shape[2:] == (128, 128)
            return super().forward(x)

    monkeypatch.setattr("medai.engine.backends.measuring._MOST_OUTPUT_BYTES", 1000)
    measuring = Measuring(OneSize(5), (1, 128, 128))
    assert measuring.output_bytes == 5 * 4 * 128 * 128
    converter = a_converter(lambda x: x.repeat(1, 5, 1, 1))
    choice, _ = measuring.choose({"double": converter}, tmp_path, "double")
    assert (choice.backend, choice.window) == ("double", (1, 128, 128))


def test_large_outputs_are_compared_slab_by_slab_as_they_are_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(1)
    expected = torch.randn(2, 3, 20, 6, generator=generator)
    found = expected + 0.05 * torch.randn(2, 3, 20, 6, generator=generator)
    at_once = probe.compare(expected, found)
    monkeypatch.setattr(probe, "_SLAB_ELEMENTS", 50)
    assert probe.compare(expected, found) == at_once
    assert at_once.labels < 1


def test_a_library_that_this_environment_lacks_stands_in_nobodys_way_and_is_not_refused(
    a_converter: Callable[..., Any], tmp_path: Path
) -> None:
    def missing(x: torch.Tensor) -> torch.Tensor:
        raise ImportError("a DLL is missing")

    converters = {"missing": a_converter(missing), "right": a_converter(lambda x: torch.cat([x, -x], 1))}
    choice, _ = Measuring(Slow(), WINDOW).choose(converters, _made(tmp_path / "a"))
    assert (choice.backend, choice.refused) == ("right", {})
    with pytest.raises(ImportError):
        Measuring(Slow(), WINDOW).choose({"missing": a_converter(missing)}, _made(tmp_path / "b"))


def test_one_output_channel_is_compared_by_its_sign() -> None:
    expected = torch.tensor([[[-1.0, 1e-6, 2.0, 3.0]]])
    agreement = probe.compare(expected, torch.tensor([[[-1.0, -1e-6, 2.0, 3.0]]]))
    assert agreement.labels == 0.75
    assert agreement.deviation < 1e-6


def test_turns_are_taken_so_that_a_slow_moment_slows_all() -> None:
    order: list[str] = []
    network, candidate = (lambda x, name=name: order.append(name) or x for name in "ab")
    probe.speed_ratios(network, {"b": candidate}, torch.zeros(1), repeats=3)
    assert order == ["a", "b"] * 4


def test_a_choice_survives_its_way_through_json() -> None:
    choice = Choice("openvino", (Measured("openvino", 4.1, 1.0),), {"onnxruntime": "crashed"}, (1, 96, 96, 96))
    assert Choice.from_json(choice.to_json()) == choice
    for damaged in ({}, [], None, {**choice.to_json(), "backend": "other"}, {**choice.to_json(), "window": "x"}):
        with pytest.raises(ValueError, match=r"choice|invalid"):
            Choice.from_json(damaged)


def test_what_a_person_reads_never_calls_a_part_all() -> None:
    measured = Measured("openvino", 4.12, 0.99996)
    assert sentence("OpenVINO", measured) == (
        "OpenVINO: 4.1 times faster than plain PyTorch on this computer, agrees with it on 99.99 % of test values"
    )
    assert best((measured,)) == "openvino"
    assert best((Measured("openvino", 1.05, 1.0),)) == "torch"


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
