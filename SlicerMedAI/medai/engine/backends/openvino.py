"""OpenVINO, Intel's inference library, on the CPU."""

from __future__ import annotations

import importlib.metadata
import logging
import math
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medai.engine.backend_names import OPENVINO
from medai.engine.backends import blockwise, winograd
from medai.engine.backends.norms import grouped_by_channels

NAME, TITLE, PACKAGES = OPENVINO, "OpenVINO", ("openvino",)
XML, BIN = "model.xml", "model.bin"
_ONE, _PAIR, _ANY_SIZE = "one window", "two windows at once", "any size"
_FLOAT_BYTES = 4
_TENSORS_OF_ANOTHER = 4  # as large as the largest, in use at the same time
_MOST_BYTES_OF_ANOTHER = 2**30
_log = logging.getLogger("medai.engine.backends")


def version() -> str:
    """Of the installed package; ``""`` when it is missing. Does not import it."""
    try:
        return importlib.metadata.version("openvino")
    except importlib.metadata.PackageNotFoundError:
        return ""


def convert(network: torch.nn.Module, example: torch.Tensor, folder: Path, *, fixed: bool) -> None:
    """Write the network as OpenVINO's own files.

    Parameters
    ----------
    network : torch.nn.Module
        In eval mode, on the CPU.
    example : Tensor, shape (1, C, spatial)
        The window that it is traced with.
    folder : Path
        Where ``model.xml`` and ``model.bin`` go; exists.
    fixed : bool
        For windows of just this shape, instead of for every batch and spatial size.
    """
    model = converted(network, example, fixed=fixed)
    if len(model.outputs) != 1:
        raise ValueError(f"the converted model has {len(model.outputs)} outputs")
    save(model, folder / XML)


def converted(network: torch.nn.Module, *example: torch.Tensor, fixed: bool) -> Any:
    """The network as an ``openvino.Model``; for the parameters see `convert`.

    Of a series, shape (B, T, F), any number of visits can come; an image's channels are the second axis.
    """
    openvino = package()
    sizes = [list(one.shape) if fixed else _free(one) for one in example]
    with warnings.catch_warnings(), torch.no_grad(), grouped_by_channels(network), _everybodys_log_kept():
        warnings.simplefilter("ignore")  # sizes that tracing takes for constants show when the result is compared
        given = example if len(example) > 1 else example[0]
        return openvino.convert_model(network, example_input=given, input=[*map(openvino.PartialShape, sizes)])


def _free(example: torch.Tensor) -> list[int]:
    """The sizes that inputs must have, with -1 where they may differ."""
    channels = 2 if example.ndim == 3 else 1
    return [size if axis == channels else -1 for axis, size in enumerate(example.shape)]


@contextmanager
def _everybodys_log_kept() -> Iterator[None]:
    """Leave Python's root logger as it was: OpenVINO silences it for a conversion, and for ever when that fails."""
    root = logging.getLogger()
    level, filters, handlers = root.level, root.filters[:], root.handlers[:]
    try:
        yield
    finally:
        root.setLevel(level)
        root.filters, root.handlers = filters, handlers


def save(model: Any, path: Path) -> None:
    """Write an ``openvino.Model`` as `path` (XML) and the file of numbers beside it."""
    # Half precision would halve the file and change labels at their borders.
    package().save_model(model, path, compress_to_fp16=False)


def load(files: Mapping[str, bytes], threads: int, window: tuple[int, ...] | None) -> OpenVINORunner:
    """The model of `convert`, to be compiled for this CPU.

    Parameters
    ----------
    files : mapping
        Content of the files by name.
    threads : int
        Of the CPU.
    window : tuple of int, optional
        (C, spatial) of the windows that will come most often.
    """
    model = package().Core().read_model(files[XML], files[BIN])
    return OpenVINORunner(model, threads, window, files[BIN])


@dataclass(frozen=True, eq=False)
class _Form:
    """A compiled model.

    Parameters
    ----------
    requests : tuple of openvino.InferRequest
        That can compute at the same time.
    sizes : tuple of tuple of int, or None
        Of each output after the batch, where all of them are float32 of a size known beforehand.
    """

    requests: tuple[Any, ...]
    sizes: tuple[tuple[int, ...], ...] | None


class OpenVINORunner:
    """A model that is compiled when it is first called, in the forms that it is called in.

    Windows of the expected size go through forms for just this size, which are faster: steps without a convolution
    join into one, and some convolutions get by with half of their multiplications. Of several windows, two are computed
    at once with half of the threads each: threads that work on one window wait for each other at each of its steps.
    Other sizes go through a form for all.
    """

    def __init__(self, model: Any, threads: int, window: tuple[int, ...] | None, weights: bytes = b"") -> None:
        self._openvino = package()
        self._core = self._openvino.Core()
        self._model, self._weights = model, weights  # to which the model may refer
        self._threads = threads
        self._window = window
        self._pairs = threads % 2 == 0
        self._after_pairs = False
        self._forms: dict[str, _Form] = {}
        self._lock = threading.Lock()

    def at_once(self, window: tuple[int, ...]) -> int:
        """How many windows of that size, (C, spatial), are best handed over together."""
        return 2 if window == self._window and self._takes_pairs() else 1

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        (output,) = self.outputs(x)
        return output

    def outputs(self, *given: torch.Tensor) -> list[torch.Tensor]:
        """All outputs, of a model that may have several, and take several tensors."""
        with self._lock, torch.no_grad():
            if tuple(given[0].shape[1:]) != self._window:
                return self._computed([given], _ANY_SIZE)
            windows = list(zip(*(one.split(1) for one in given), strict=True))
            several = len(windows) > 1
            if (several and self._takes_pairs()) or (self._after_pairs and _PAIR in self._forms):
                self._after_pairs = several
                try:
                    return self._computed(windows, _PAIR)
                except Exception as error:
                    _log.info("Two windows cannot be computed at once: %s", error)
                    self._pairs = False
                    self._forms.pop(_PAIR, None)
            return self._computed(windows, _ONE)

    def _takes_pairs(self) -> bool:
        if not self._pairs or _PAIR in self._forms:
            return self._pairs
        from medai.engine.streaming.available import available_bytes

        return self._bytes_of_another <= min(_MOST_BYTES_OF_ANOTHER, available_bytes() // 4)

    @cached_property
    def _bytes_of_another(self) -> int:
        """What a window takes that is computed beside another one, as a multiple of the largest tensor."""
        outputs = [output for node in self._sized().get_ordered_ops() for output in node.outputs()]
        known = [output.get_shape() for output in outputs if output.get_partial_shape().is_static]
        return _TENSORS_OF_ANOTHER * _FLOAT_BYTES * max(map(math.prod, known), default=0)

    def _computed(self, calls: Sequence[Sequence[torch.Tensor]], name: str) -> list[torch.Tensor]:
        """All outputs of the calls in one form, each a tensor for every input of the model."""
        # An odd window goes through the form for one if that is there, but is not worth a form of its own.
        odd = _ONE if _ONE in self._forms and name == _PAIR else name
        form = self._form(name if len(calls) > 1 else odd)
        rows = [len(call[0]) for call in calls]
        # OpenVINO writes straight into the tensors that the caller gets.
        whole = [torch.empty([sum(rows), *size]) for size in form.sizes or ()]
        places = list(zip(*(output.split(rows) for output in whole), strict=True)) or [()] * len(calls)
        each: list[list[torch.Tensor]] = []
        while len(each) < len(calls):
            some = slice(len(each), len(each) + len(form.requests))
            requests = form.requests if len(calls[some]) > 1 else self._form(odd).requests
            each += self._at_the_same_time(requests, calls[some], places[some])
        return whole or [torch.cat(parts) if len(parts) > 1 else parts[0] for parts in zip(*each, strict=True)]

    def _at_the_same_time(
        self, requests: Sequence[Any], calls: Sequence[Sequence[torch.Tensor]], places: Sequence[Sequence[torch.Tensor]]
    ) -> list[list[torch.Tensor]]:
        """The outputs of each call, but for those that were written to their places."""
        begun = []
        try:
            for request, call, place in zip(requests, calls, places, strict=False):
                for number, x in enumerate(call):
                    request.set_input_tensor(number, self._openvino.Tensor(x.numpy(), shared_memory=True))
                for number, output in enumerate(place):
                    request.set_output_tensor(number, self._openvino.Tensor(output.numpy(), shared_memory=True))
                request.start_async()
                begun.append(request)
        finally:
            # All of them, even if one fails: they read and write memory that is the caller's.
            errors = [error for request in begun if (error := _error_of(request)) is not None]
        if errors:
            raise errors[0]
        found = [[] if place else request.output_tensors for request, place in zip(begun, places, strict=False)]
        return [[torch.from_numpy(output.data.copy()) for output in outputs] for outputs in found]

    def _form(self, name: str) -> _Form:
        if name not in self._forms:
            model = self._model.clone() if name == _ANY_SIZE else self._sized()
            if name != _ANY_SIZE:
                blockwise.rewrite(model)
                winograd.rewrite(model)
            settings = {
                "INFERENCE_PRECISION_HINT": "f32",  # bfloat16, the default where the CPU has it, changes labels
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_NUM_THREADS": self._threads,
                "ENABLE_CPU_PINNING": False,  # threads bound to cores wait for whatever else runs there
                **({"NUM_STREAMS": 2} if name == _PAIR else {}),
            }
            compiled = self._core.compile_model(model, "CPU", settings)
            requests = tuple(compiled.create_infer_request() for _ in range(2 if name == _PAIR else 1))
            self._forms[name] = _Form(requests, _sizes(compiled.outputs, one=name != _ANY_SIZE))
        return self._forms[name]

    def _sized(self) -> Any:
        """The model for one window of the expected size."""
        model = self._model.clone()
        # A model converted for one window has nothing left to choose.
        if model.input(0).partial_shape.is_dynamic:
            model.reshape([1, *(self._window or ())])
        return model


def _error_of(request: Any) -> Exception | None:
    """What went wrong in a request, after it has ended."""
    try:
        request.wait()
    except Exception as error:
        return error
    return None


def _sizes(outputs: Sequence[Any], *, one: bool) -> tuple[tuple[int, ...], ...] | None:
    """Of each output after the batch, which has to be of one window or of any number."""
    found = []
    for output in outputs:
        shape = output.partial_shape
        if not (shape.rank.is_static and len(shape)) or output.element_type.to_dtype() != np.float32:
            return None
        batch, *sizes = shape
        if batch.is_static != one or (one and batch.get_length() != 1) or not all(size.is_static for size in sizes):
            return None
        found.append(tuple(size.get_length() for size in sizes))
    return tuple(found)


def package() -> Any:
    """The library, which talks to nobody."""
    # OpenVINO reports its use to a statistics server when this package of its can be imported. No program that holds
    # images of patients may talk to one.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino  # type: ignore[import-untyped]

    return openvino
