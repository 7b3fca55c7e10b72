"""ONNX Runtime on the CPU: for computers that OpenVINO is not made for, and networks that it cannot convert."""

from __future__ import annotations

import importlib.metadata
import io
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch

from medai.engine.backend_names import ONNX_RUNTIME

NAME, TITLE, PACKAGES = ONNX_RUNTIME, "ONNX Runtime", ("onnxruntime", "onnx")
_FILE = "model.onnx"


def version() -> str:
    """Of the installed packages; ``""`` when one is missing. Does not import them."""
    try:
        return " ".join(importlib.metadata.version(name) for name in PACKAGES)
    except importlib.metadata.PackageNotFoundError:
        return ""


def convert(network: torch.nn.Module, example: torch.Tensor, folder: Path, *, fixed: bool) -> None:
    """Write the network as ``model.onnx``; for the parameters see `medai.engine.backends.openvino.convert`."""
    names = ["batch", "channel", "depth", "height", "width"]
    axes = {axis: names[axis] for axis in range(example.ndim) if axis != 1}
    content = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # about this exporter's age; the newer one needs a further package
        torch.onnx.export(
            network,
            (example,),
            content,
            dynamo=False,
            input_names=["image"],
            output_names=["output"],
            dynamic_axes=None if fixed else {"image": axes},
        )
    (folder / _FILE).write_bytes(content.getvalue())


def load(files: Mapping[str, bytes], threads: int, window: tuple[int, ...] | None) -> ONNXRunner:  # noqa: ARG001
    """The model of `convert`, ready for this CPU; for the parameters see `medai.engine.backends.openvino.load`."""
    return ONNXRunner(files[_FILE], threads)


class ONNXRunner:
    """A loaded model."""

    def __init__(self, content: bytes, threads: int) -> None:
        import onnxruntime  # type: ignore[import-untyped]

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only
        # Images of many sizes would each keep a plan of the memory they need.
        options.enable_mem_pattern = False
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        if len(self._session.get_outputs()) != 1:
            raise ValueError(f"the converted model has {len(self._session.get_outputs())} outputs")
        self._input = self._session.get_inputs()[0].name

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        (output,) = self._session.run(None, {self._input: x.numpy()})
        return torch.from_numpy(output)
