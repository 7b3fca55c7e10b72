"""8-bit integers in the place of floats, after the training: OpenVINO's NNCF.

Ranges of every layer come from calibration images, biases are corrected (Nagel et al., ICCV 2019). Where the result
strays too far from the network's own, the layers that it strays by most are left in floating point.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from medai.bundles.integrity import file_hash
from medai.bundles.quantized import BIN, XML
from medai.engine.backends import openvino
from medai.errors import DependencyError, WriteError
from medai.training.compression import derived
from medai.training.compression.compiled import compiled, forward_of, relative_error, tensors
from medai.training.folder import METADATA

_STRAYS = 0.1
"""Relative error from which on layers are looked for that are better left in floating point."""
_LOOKED_AT = 8
_MOST_REVERTED = 4


def check_installed() -> None:
    """Refuse before anything slow happens.

    Raises
    ------
    DependencyError
        When NNCF or OpenVINO is missing.
    """
    import importlib.util

    missing = [name for name in ("openvino", "nncf") if importlib.util.find_spec(name) is None]
    if missing:
        raise DependencyError(
            "The model cannot be quantised.",
            f"The Python package{'s' if len(missing) > 1 else ''} {' and '.join(missing)} "
            f"{'are' if len(missing) > 1 else 'is'} not installed.",
            f"Install with: pip install {' '.join(missing)}",
        )


def quantize(
    root: Path, network: torch.nn.Module, windows: Sequence[torch.Tensor], tell: Callable[[str], None]
) -> None:
    """Write the 8-bit form of a network into its bundle, beside the weights.

    Parameters
    ----------
    root : Path
        The new bundle.
    network : torch.nn.Module
        In floating point, on the CPU.
    windows : sequence of Tensor, each (1, C, *spatial)
        What it sees, to calibrate with.
    tell : callable
        Hears what a person should know.

    Raises
    ------
    InputError
        When the network cannot be compiled.
    WriteError
        When the disk is full.
    """
    common = max({window.shape for window in windows}, key=lambda shape: sum(w.shape == shape for w in windows))
    example = next(window for window in windows if window.shape == common)
    model, outputs, fixed = compiled(network, example)
    usable = [window for window in windows if not fixed or window.shape == common]
    quantized, reverted = _quantized(network, model, outputs, usable)
    if reverted:
        tell(f"Left in floating point, since they lose most by 8 bits: {', '.join(reverted)}.")
    try:
        openvino.save(quantized, root / XML)
    except Exception as error:  # OpenVINO has errors of its own for a full disk
        raise WriteError(
            f"The 8-bit form of '{root.name}' could not be written.",
            f"The computer reports: {str(error).strip().splitlines()[-1][:200] if str(error) else repr(error)}.",
            "Free some space; the original model is as it was.",
            details=repr(error),
        ) from error
    metadata = derived.read(root, METADATA)
    metadata["medai"]["int8"] = {
        "engine": f"OpenVINO {openvino.version()}",
        "outputs": outputs,
        "window": list(common[1:]) if fixed else None,
        "sha256": {name: file_hash(root / name) for name in (XML, BIN)},
        "float_layers": reverted,
    }
    derived.write(root, {METADATA: metadata})


def _quantized(
    network: torch.nn.Module, model: Any, outputs: Any, windows: Sequence[torch.Tensor]
) -> tuple[Any, list[str]]:
    """The model in 8 bits, and the layers left in floating point."""
    openvino.package()
    import nncf

    nncf.set_log_level(logging.ERROR)
    dataset = nncf.Dataset([window.numpy() for window in windows])
    options = {"preset": nncf.QuantizationPreset.MIXED, "subset_size": len(windows)}
    looked_at = list(windows[:: max(1, len(windows) // _LOOKED_AT)])[:_LOOKED_AT]
    with torch.inference_mode():
        expected = [tensors(network(window)) for window in looked_at]

    def strays(form: Any) -> float:
        forward = forward_of(network, form, outputs, None)
        with torch.inference_mode():
            found = [tensors(forward(window)) for window in looked_at]
        return max(relative_error(*pair) for pair in zip(expected, found, strict=True))

    with contextlib.redirect_stdout(io.StringIO()):  # bars of its own
        best = nncf.quantize(model.clone(), dataset, **options)
        reverted: list[str] = []
        error = strays(best)
        for name in _costly(model):
            if error <= _STRAYS or len(reverted) >= _MOST_REVERTED:
                break
            scope = nncf.IgnoredScope(names=[*reverted, name])
            other = nncf.quantize(model.clone(), dataset, ignored_scope=scope, **options)
            less = strays(other)
            if less < 0.9 * error:
                best, error, reverted = other, less, [*reverted, name]
    return best, reverted


def _costly(model: Any) -> list[str]:
    """Layers worth trying to leave in floating point: the last, then the first ones, where few values decide much."""
    kinds = ("Convolution", "ConvolutionBackpropData", "GroupConvolution", "MatMul")
    names = [node.get_friendly_name() for node in model.get_ordered_ops() if node.get_type_name() in kinds]
    return list(dict.fromkeys([*names[:-3:-1], *names[:2], *names[-3:-5:-1]]))
