"""The 8-bit form of a network that a bundle may carry beside its weights, and where it takes the network's place.

``models/int8.xml`` and ``models/int8.bin`` are OpenVINO's; ``medai.int8`` in the metadata names them by their SHA-256
and says what they give. The weights stay: ``python -m monai.bundle run``, a GPU, a computer without OpenVINO and
whoever asks for ``backend="torch"`` compute with them.
"""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from medai.bundles import configs
from medai.bundles.integrity import file_hash
from medai.bundles.intermediate import fault_of
from medai.errors import BundleFormatError, BundleTamperedError, MaliciousBundleError

if TYPE_CHECKING:
    import torch

XML, BIN = "models/int8.xml", "models/int8.bin"
IN_INT8 = (
    "The network is computed in 8-bit integers by OpenVINO, as this model was made for; backend 'torch' computes the "
    "weights it was made of."
)


class Runner(Protocol):
    """A compiled network."""

    def outputs(self, x: torch.Tensor) -> list[torch.Tensor]:
        """All that it gives for a contiguous float32 tensor on the CPU."""
        ...


@dataclass(frozen=True)
class Int8:
    """An 8-bit form, read and checked.

    Parameters
    ----------
    xml, weights : bytes
        Content of the two files.
    outputs : int, list or dict
        What the network gives, with the number of a compiled output in the place of each tensor.
    window : tuple of int, or None
        (C, spatial) of the only images it takes; None for all.
    """

    xml: bytes = field(repr=False)
    weights: bytes = field(repr=False)
    outputs: Any = 0
    window: tuple[int, ...] | None = None


def int8_of(root: Path) -> Int8 | None:
    """The 8-bit form of a bundle; None when it has none.

    Raises
    ------
    BundleFormatError
        When a file is missing, or the metadata do not say what it gives.
    BundleTamperedError
        When a file is not the one that the metadata name.
    MaliciousBundleError
        When it is more than a network, or lies outside of the bundle.
    """
    if not configs.all_named(root, "metadata"):
        return None
    own = configs.metadata(root).get("medai")
    said = own.get("int8") if isinstance(own, Mapping) else None
    if said is None:
        return None
    hashes = said.get("sha256") if isinstance(said, Mapping) else None
    if not isinstance(hashes, Mapping) or not _is_template(said.get("outputs")):
        raise _unusable(root, "Its metadata do not describe the 8-bit form of its network")
    for name in (XML, BIN):
        path = root / name
        if not path.is_file():
            raise _unusable(root, f"Its file {name} is missing")
        if not path.resolve().is_relative_to(root.resolve()):
            raise _malicious(root, f"{name} points to a file outside of the model")
        if file_hash(path) != hashes.get(name):
            raise BundleTamperedError(
                f"The model '{root.name}' was changed after it was published, so it is not used.",
                f"Its file {name} is not the one that its metadata name by SHA-256.",
                "Import or download the model again.",
            )
    xml, weights = ((root / name).read_bytes() for name in (XML, BIN))
    fault = fault_of(xml, len(weights))
    if fault:
        raise _malicious(root, f"{XML} {fault}")
    window = said.get("window")
    sizes = tuple(int(size) for size in window) if isinstance(window, list) else None
    return Int8(xml, weights, said.get("outputs"), sizes)


def attach(network: torch.nn.Module, root: Path, device: str) -> tuple[str, ...]:
    """Let a network be computed in its 8-bit form, where the bundle has one and this computer can.

    The network stays the object it is, so that what was built around it (a detector) goes with it.

    Parameters
    ----------
    network : torch.nn.Module
        With its weights.
    root : Path
        The bundle's folder.
    device : str
        That the network is on.

    Returns
    -------
    tuple of str
        What a person should know of it; empty for bundles without such a form.
    """
    form = int8_of(root)
    if form is None:
        return ()
    why = "it is for the CPU" if device != "cpu" else ""
    if not why and importlib.util.find_spec("openvino") is None:
        why = "OpenVINO is not installed (pip install openvino)"
    if why:
        return (f"The 8-bit form of this model is not used: {why}. Its float weights are, which are slower.",)
    import torch

    from medai.engine.backends import openvino

    files = {openvino.XML: form.xml, openvino.BIN: form.weights}
    runner = openvino.load(files, torch.get_num_threads(), form.window)
    network.forward = Int8Forward(network, runner, form.outputs, form.window)
    return (IN_INT8,)


def in_int8(network: torch.nn.Module) -> bool:
    """Whether a network is computed in its 8-bit form."""
    return isinstance(network.__dict__.get("forward"), Int8Forward)


def in_float(network: torch.nn.Module) -> torch.nn.Module:
    """The same network computed with its float weights."""
    if not in_int8(network):
        return network
    plain = copy.copy(network)
    plain.__dict__.pop("forward")
    return plain


class Int8Forward:
    """Called in place of a network's ``forward``.

    What the 8-bit form cannot do goes to the network itself: gradients, other windows, other dtypes, further arguments.
    """

    def __init__(
        self, network: torch.nn.Module, runner: Runner, outputs: Any, window: Sequence[int] | None = None
    ) -> None:
        self._network, self._runner = network, runner
        self._outputs, self._window = outputs, None if window is None else tuple(window)

    def __call__(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        import torch

        from medai.engine.backends.converted import like

        takes = x.dtype == torch.float32 and x.device.type == "cpu" and x.numel() > 0 and not torch.is_grad_enabled()
        if args or kwargs or not takes or self._window not in (None, tuple(x.shape[1:])):
            return type(self._network).forward(self._network, x, *args, **kwargs)
        plain = x.detach().as_subclass(torch.Tensor).contiguous()
        # A form for one size of window takes one at a time.
        each = [self._runner.outputs(part) for part in (plain.split(1) if self._window else (plain,))]
        found = each[0] if len(each) == 1 else [torch.cat(parts) for parts in zip(*each, strict=True)]
        return _filled(self._outputs, [like(one, x) for one in found])

    def __deepcopy__(self, memo: dict[int, Any]) -> Int8Forward:
        # The compiled network is shared: it cannot be copied, and never changes.
        return Int8Forward(copy.deepcopy(self._network, memo), self._runner, self._outputs, self._window)


def _filled(template: Any, found: Sequence[Any]) -> Any:
    if isinstance(template, Mapping):
        return {key: _filled(part, found) for key, part in template.items()}
    if isinstance(template, list):
        return [_filled(part, found) for part in template]
    return found[template]


def _is_template(said: object) -> bool:
    if isinstance(said, Mapping):
        return bool(said) and all(map(_is_template, said.values()))
    if isinstance(said, list):
        return bool(said) and all(map(_is_template, said))
    return isinstance(said, int) and not isinstance(said, bool) and 0 <= said < 100


def _unusable(root: Path, why: str) -> BundleFormatError:
    return BundleFormatError(
        f"The model '{root.name}' cannot be used.", f"{why}.", "Import or download the model again."
    )


def _malicious(root: Path, why: str) -> MaliciousBundleError:
    return MaliciousBundleError(
        f"The model '{root.name}' was refused for safety.",
        f"Its file {why}.",
        "Do not use this copy of the model; get it from its authors.",
    )
