"""OpenVINO, Intel's inference library, on the CPU."""

from __future__ import annotations

import importlib.metadata
import logging
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from medai.engine.backend_names import OPENVINO
from medai.engine.backends import blockwise, winograd
from medai.engine.backends.norms import grouped_by_channels

NAME, TITLE, PACKAGES = OPENVINO, "OpenVINO", ("openvino",)
XML, BIN = "model.xml", "model.bin"


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
    """The model of `convert`, compiled for this CPU.

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


class OpenVINORunner:
    """A compiled model. Windows of the expected size go one by one through a form of it for just this size, which is
    faster: steps without a convolution join into one, and some convolutions get by with half of their multiplications.
    Other sizes go through a form for all, compiled when the first comes."""

    def __init__(self, model: Any, threads: int, window: tuple[int, ...] | None, weights: bytes = b"") -> None:
        self._openvino = package()
        self._core = self._openvino.Core()
        self._model, self._weights = model, weights  # to which the model may refer
        self._settings = {
            "INFERENCE_PRECISION_HINT": "f32",  # bfloat16, the default where the CPU has it, changes labels
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,  # threads bound to cores wait for whatever else runs there
        }
        self._window = window
        self._forms: dict[bool, tuple[Any, list[int] | None]] = {}
        self._lock = threading.RLock()
        self._request(expected=window is not None)

    def outputs(self, *given: torch.Tensor) -> list[torch.Tensor]:
        """All outputs, of a model that may have several, and take several tensors."""
        expected = self._expects(given[0])
        calls = zip(*(one.split(1) for one in given), strict=True) if expected else [given]
        with self._lock, torch.no_grad():
            request, _ = self._request(expected=expected)
            each = [self._found(request, call) for call in calls]
        return each[0] if len(each) == 1 else [torch.cat(parts) for parts in zip(*each, strict=True)]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        expected = self._expects(x)
        with self._lock, torch.no_grad():
            request, sizes = self._request(expected=expected)
            if sizes is None:
                (found,) = self.outputs(x)
                return found
            # OpenVINO writes straight into the tensor that the caller gets.
            output = torch.empty([x.shape[0], *sizes])
            for one, place in zip(x.split(1), output.split(1), strict=True) if expected else [(x, output)]:
                request.set_input_tensor(self._openvino.Tensor(one.numpy(), shared_memory=True))
                request.set_output_tensor(self._openvino.Tensor(place.numpy(), shared_memory=True))
                request.infer()
            return output

    def _expects(self, x: torch.Tensor) -> bool:
        return tuple(x.shape[1:]) == self._window

    def _found(self, request: Any, given: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        for place, x in enumerate(given):
            request.set_input_tensor(place, self._openvino.Tensor(x.numpy(), shared_memory=True))
        request.infer()
        return [torch.from_numpy(found.data.copy()) for found in request.output_tensors]

    def _request(self, *, expected: bool) -> tuple[Any, list[int] | None]:
        """An inference request, and the output's sizes after the batch where they are known beforehand."""
        if expected not in self._forms:
            model = self._model.clone()
            if expected:
                # A model converted for one window has nothing left to choose.
                if model.input(0).partial_shape.is_dynamic:
                    model.reshape([1, *(self._window or ())])
                blockwise.rewrite(model)
                winograd.rewrite(model)
            compiled = self._core.compile_model(model, "CPU", self._settings)
            shape = compiled.outputs[0].partial_shape
            known = shape.rank.is_static and len(shape) and all(size.is_static for size in list(shape)[1:])
            sizes = [size.get_length() for size in list(shape)[1:]] if known else None
            self._forms[expected] = compiled.create_infer_request(), sizes
        return self._forms[expected]


def package() -> Any:
    """The library, which talks to nobody."""
    # OpenVINO reports its use to a statistics server when this package of its can be imported. No program that holds
    # images of patients may talk to one.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino  # type: ignore[import-untyped]

    return openvino
