"""A network as OpenVINO's own model, with all that it gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from medai.bundles.quantized import Int8Forward
from medai.engine.backends import openvino
from medai.engine.backends.probe import other_size
from medai.errors import InputError

Call = tuple[torch.Tensor, ...]
"""Arguments of one call of a network."""
_OTHERS = 3
_ALIKE = 1e-3
"""Largest relative error at which two forms of a network in floating point are the same."""


class Flat(torch.nn.Module):  # type: ignore[misc]
    """A network that gives its tensors as a plain tuple, without the lists and names around them."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *given: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """All tensors of the output, in the order of `tensors`."""
        return tuple(tensors(self.network(*given)))


def tensors(output: Any) -> list[torch.Tensor]:
    """Every tensor in a network's output."""
    return list(_walk(output))


def template(output: Any) -> Any:
    """A network's output with the number of each tensor in its place; see `medai.bundles.quantized.Int8`.

    Raises
    ------
    InputError
        When there is something else in it than tensors, lists and names.
    """
    count = iter(range(1_000))

    def numbered(part: Any) -> Any:
        if isinstance(part, torch.Tensor):
            return next(count)
        if isinstance(part, Mapping):
            return {str(key): numbered(value) for key, value in part.items()}
        if isinstance(part, (list, tuple)):
            return [numbered(value) for value in part]
        raise InputError(
            "This network cannot be compiled.",
            f"Beside tensors it gives a {type(part).__name__}.",
            "Choose another method.",
        )

    return numbered(output)


def compiled(network: torch.nn.Module, calls: Sequence[Call]) -> tuple[Any, Any, bool]:
    """The network in OpenVINO's form, proven to give the same.

    Parameters
    ----------
    network : torch.nn.Module
        In eval mode, on the CPU, in floating point; or a part of one.
    calls : sequence of Call
        As it is called; the first is the example that it is traced with.

    Returns
    -------
    model : openvino.Model
    outputs : int, list or dict
        See `template`.
    fixed : bool
        Whether it takes inputs of the first call's size only.

    Raises
    ------
    InputError
        When OpenVINO cannot do it.
    """
    with torch.inference_mode():
        outputs = template(network(*calls[0]))
    why = ""
    for fixed in (False, True):
        try:
            model = openvino.converted(Flat(network), *calls[0], fixed=fixed)
            _check(network, model, outputs, calls[:1] if fixed else [calls[0], *_of_another_size(network, calls)])
        except Exception as error:  # tracing runs the network's own code, which fails in many ways
            why = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
            continue
        return model, outputs, fixed
    raise InputError(
        "This network cannot be compiled by OpenVINO.",
        f"It says: {why.rstrip('.')}.",
        "Choose another method: prune, distill or decompose.",
    )


def forward_of(network: torch.nn.Module, model: Any, outputs: Any, window: tuple[int, ...] | None) -> Int8Forward:
    """The compiled network, to be called like the network itself."""
    runner = openvino.OpenVINORunner(model, torch.get_num_threads(), window)
    return Int8Forward(network, runner, outputs, None, len(model.inputs))


def relative_error(expected: Sequence[torch.Tensor], found: Sequence[torch.Tensor]) -> float:
    """Root mean square of the difference, as a share of the standard deviation of what was expected; the worst of all
    tensors."""
    errors = [
        float((one - other).float().norm() / (one.float() - one.float().mean()).norm().clamp_min(1e-12))
        for one, other in zip(expected, found, strict=True)
        if one.numel() > 1
    ]
    return max(errors, default=0.0)


def _check(network: torch.nn.Module, model: Any, outputs: Any, calls: Sequence[Call]) -> None:
    forward = forward_of(network, model, outputs, None)
    with torch.inference_mode():
        for call in calls:
            error = relative_error(tensors(network(*call)), tensors(forward(*call)))
            if not error <= _ALIKE:
                raise ValueError(f"its result differs by {100 * error:.2g} %")


def _of_another_size(network: torch.nn.Module, calls: Sequence[Call]) -> Iterator[Call]:
    """Two at once, of an image of another size where the network can take it; or of another series."""
    first = calls[0]
    if first[0].ndim < 4:
        different = {tuple(one.shape for one in call): call for call in calls}
        yield from list(different.values())[:_OTHERS]
        yield tuple(torch.cat([one, one]) for one in first)
        return
    sizes = other_size(first[0].shape[2:])
    generator = torch.Generator().manual_seed(0)
    other = torch.randn([2, first[0].shape[1], *sizes], generator=generator)
    try:
        with torch.inference_mode():
            network(other)
    except Exception:  # it is for one size only
        return
    yield (other,)


def _walk(output: Any) -> Iterator[torch.Tensor]:
    if isinstance(output, torch.Tensor):
        yield output
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from _walk(value)
    elif isinstance(output, (list, tuple)):
        for value in output:
            yield from _walk(value)
