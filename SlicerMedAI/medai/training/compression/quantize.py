"""8-bit integers in the place of floats, after the training: OpenVINO's NNCF.

Ranges of every layer come from calibration images, biases are corrected (Nagel et al., ICCV 2019). Where the result
strays too far from the network's own, the layers that it strays by most are left in floating point.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from medai.bundles.integrity import file_hash
from medai.bundles.quantized import files_of
from medai.bundles.weights import load_state_dict, weights_path
from medai.engine.backends import openvino
from medai.errors import DependencyError, InputError, WriteError
from medai.training.compression import derived, networks
from medai.training.compression.compiled import Call, compiled, forward_of, relative_error, tensors
from medai.training.folder import METADATA

_STRAYS = 0.1
"""Relative error from which on layers are looked for that are better left in floating point."""
_ROUNDED = 1e-3
"""Part of a layer's weights that rounding to half precision may change."""
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
    root: Path,
    network: torch.nn.Module,
    calls: Sequence[Call],
    tell: Callable[[str], None],
    waiting: Callable[[], None],
    *,
    whole: bool = True,
) -> None:
    """Write the 8-bit form of a network into its bundle, beside the weights.

    Parameters
    ----------
    root : Path
        The new bundle.
    network : torch.nn.Module
        In floating point, on the CPU.
    calls : sequence of Call
        What it sees, to calibrate with.
    tell : callable
        Hears what a person should know.
    waiting : callable
        Called between parts; may raise to stop.
    whole : bool
        In one piece; else each part that is called for itself has a form of its own.

    Raises
    ------
    InputError
        When the network cannot be compiled.
    WriteError
        When the disk is full.
    """
    parts = {"": list(calls)} if whole else calls_of_parts(network, calls)
    told, kept, why = [], [], None
    for part, given in parts.items():
        waiting()
        try:
            form, reverted = _part(root, network.get_submodule(part), part, given)
        except InputError as error:
            why = error
            kept.append(part)
            continue
        told.append(form)
        kept += [f"{part}: {name}" if part else name for name in reverted]
    if not told:
        raise why or InputError(
            "This network cannot be quantised.", "It has no layers to quantise.", "Distil it into a smaller one."
        )
    if kept:
        tell(f"Left in floating point, since they lose most by 8 bits or cannot be compiled: {', '.join(kept)}.")
    _halve(root)
    metadata = derived.read(root, METADATA)
    metadata["medai"]["int8"] = {"engine": f"OpenVINO {openvino.version()}", "parts": told, "float_layers": kept}
    derived.write(root, {METADATA: metadata})


def _halve(root: Path) -> None:
    """Keep the weights of layers in half precision: the 8-bit form comes on top of them, and they are used seldom."""
    if weights_path(root).suffix not in (".pt", ".pth", ".safetensors"):
        return

    def halved(value: torch.Tensor) -> torch.Tensor:
        if value.dtype != torch.float32 or value.ndim < 2:
            return value
        half = value.half()
        return half if float((half.float() - value).norm()) <= _ROUNDED * float(value.norm()) else value

    networks.keep_weights(root, networks.each_once(load_state_dict(root), halved))


def calls_of_parts(network: torch.nn.Module, calls: Sequence[Call]) -> dict[str, list[Call]]:
    """What the parts of a network are called with, by their names, while the network is called.

    A part is the largest module with weights that is called for itself: where its owner does more than to call it, as
    a forecaster does with its members, the parts are theirs.
    """
    found: dict[str, list[Call]] = {}

    def looking(name: str) -> Callable[..., None]:
        def look(_: torch.nn.Module, given: Call) -> None:
            found.setdefault(name, []).append(tuple(one.detach().clone() for one in given))

        return look

    candidates = _inside(network, "")
    hooks = [module.register_forward_pre_hook(looking(name)) for name, module in candidates]
    try:
        with torch.inference_mode():
            for call in calls:
                network(*call)
    finally:
        for hook in hooks:
            hook.remove()
    # Of a module that is called, what is inside is done with it.
    outer = [name for name in found if not any(name.startswith(f"{other}.") for other in found)]
    return {name: found[name] for name in outer}


def _inside(module: torch.nn.Module, name: str) -> list[tuple[str, torch.nn.Module]]:
    """What is inside of a module and has weights; of lists, which are never called, their members."""
    found: list[tuple[str, torch.nn.Module]] = []
    for key, child in module.named_children():
        if not any(weight.ndim > 1 for weight in child.parameters()):
            continue
        place = f"{name}.{key}" if name else key
        found += _inside(child, place) if isinstance(child, torch.nn.ModuleList) else [(place, child)]
    return found


def _part(root: Path, module: torch.nn.Module, part: str, calls: Sequence[Call]) -> tuple[dict[str, Any], list[str]]:
    """Write one part; what the metadata say of it, and its layers in floating point."""
    shapes = [call[0].shape for call in calls]
    common = max(set(shapes), key=shapes.count)
    ordered = sorted(calls, key=lambda call: call[0].shape != common)
    model, outputs, fixed = compiled(module, ordered)
    usable = [call for call in calls if not fixed or call[0].shape == common]
    quantized, reverted = _quantized(module, model, outputs, usable)
    graph = root / files_of(part)[0]
    plain = graph.with_suffix("")
    try:
        openvino.save(quantized, plain)
        graph.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
        plain.unlink()
    except Exception as error:  # OpenVINO has errors of its own for a full disk
        raise WriteError(
            f"The 8-bit form of '{root.name}' could not be written.",
            f"The computer reports: {str(error).strip().splitlines()[-1][:200] if str(error) else repr(error)}.",
            "Free some space; the original model is as it was.",
            details=repr(error),
        ) from error
    told = {
        "part": part,
        "inputs": len(calls[0]),
        "outputs": outputs,
        "window": list(common[1:]) if fixed else None,
        "sha256": {name: file_hash(root / name) for name in files_of(part)},
    }
    return told, reverted


def _quantized(network: torch.nn.Module, model: Any, outputs: Any, calls: Sequence[Call]) -> tuple[Any, list[str]]:
    """The model in 8 bits, and the layers left in floating point."""
    openvino.package()
    import nncf

    nncf.set_log_level(logging.ERROR)
    dataset = nncf.Dataset([tuple(one.numpy() for one in call) if len(call) > 1 else call[0].numpy() for call in calls])
    options = {"preset": nncf.QuantizationPreset.MIXED, "subset_size": len(calls)}
    looked_at = list(calls[:: max(1, len(calls) // _LOOKED_AT)])[:_LOOKED_AT]
    with torch.inference_mode():
        expected = [tensors(network(*call)) for call in looked_at]

    def strays(form: Any) -> float:
        forward = forward_of(network, form, outputs, None)
        with torch.inference_mode():
            found = [tensors(forward(*call)) for call in looked_at]
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
    kinds = ("Convolution", "ConvolutionBackpropData", "GroupConvolution", "MatMul", "GRUSequence", "LSTMSequence")
    names = [node.get_friendly_name() for node in model.get_ordered_ops() if node.get_type_name() in kinds]
    return list(dict.fromkeys([*names[:-3:-1], *names[:2], *names[-3:-5:-1]]))
