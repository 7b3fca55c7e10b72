"""The 8-bit form of a network that a bundle may carry beside its weights, and where it takes the network's place.

It is OpenVINO's: a graph (``.xml``, compressed by gzip) and its numbers (``.bin``) for the network as a whole, or for
those parts of it that are called apart: the halves of an autoencoder, the encoder and the members of a forecaster.
``medai.int8`` in the metadata names the files by their SHA-256 and says what they give. The weights stay: ``python -m
monai.bundle run``, a GPU, a computer without OpenVINO and whoever asks for ``backend="torch"`` compute with them.
"""

from __future__ import annotations

import copy
import importlib.util
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from medai.bundles import configs
from medai.bundles.integrity import file_hash
from medai.bundles.intermediate import LARGEST_BYTES, fault_of
from medai.errors import BundleFormatError, BundleTamperedError, MaliciousBundleError

if TYPE_CHECKING:
    import torch

IN_INT8 = (
    "The network is computed in 8-bit integers by OpenVINO, as this model was made for; backend 'torch' computes the "
    "weights it was made of."
)
_PART = re.compile(r"([A-Za-z0-9_]{1,64}(\.[A-Za-z0-9_]{1,64}){0,7})?")
_MOST_INPUTS = 8
_GZIP = 31  # zlib's word for it


def files_of(part: str) -> tuple[str, str]:
    """Graph and numbers of a part, from the bundle's folder; ``""`` is the whole network."""
    stem = f"models/int8.{part}" if part else "models/int8"
    return f"{stem}.xml.gz", f"{stem}.bin"


class Runner(Protocol):
    """A compiled network."""

    def outputs(self, *given: torch.Tensor) -> list[torch.Tensor]:
        """All that it gives for contiguous tensors on the CPU."""
        ...


@dataclass(frozen=True)
class Int8:
    """An 8-bit form, read and checked.

    Parameters
    ----------
    part : str
        Name of the module in the network that it computes; ``""`` for the network itself.
    xml, weights : bytes
        Graph and numbers.
    outputs : int, list or dict
        What it gives, with the number of a compiled output in the place of each tensor.
    inputs : int
        Tensors that it takes.
    window : tuple of int, or None
        (C, spatial) of the only images it takes; None for all.
    """

    part: str
    xml: bytes = field(repr=False)
    weights: bytes = field(repr=False)
    outputs: Any = 0
    inputs: int = 1
    window: tuple[int, ...] | None = None


def int8_of(root: Path) -> tuple[Int8, ...]:
    """The 8-bit forms of a bundle; empty when it has none.

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
        return ()
    own = configs.metadata(root).get("medai")
    said = own.get("int8") if isinstance(own, Mapping) else None
    if said is None:
        return ()
    parts = said.get("parts") if isinstance(said, Mapping) else None
    if not isinstance(parts, list) or not parts:
        raise _unusable(root, "Its metadata do not describe the 8-bit form of its network")
    return tuple(_form(root, part) for part in parts)


def has_int8(root: Path) -> bool:
    """Whether a bundle, of which nothing is checked, says that it has an 8-bit form."""
    own = configs.metadata(root).get("medai") if configs.all_named(root, "metadata") else None
    return isinstance(own, Mapping) and own.get("int8") is not None


def _form(root: Path, said: object) -> Int8:
    told = said if isinstance(said, Mapping) else {}
    part, hashes, inputs = told.get("part"), told.get("sha256"), told.get("inputs")
    counted = isinstance(inputs, int) and not isinstance(inputs, bool) and 1 <= inputs <= _MOST_INPUTS
    named = isinstance(part, str) and _PART.fullmatch(part) is not None
    if not named or not counted or not isinstance(hashes, Mapping) or not _is_template(told.get("outputs")):
        raise _unusable(root, "Its metadata do not describe the 8-bit form of its network")
    graph, numbers = files_of(str(part))
    for name in (graph, numbers):
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
    try:
        xml = zlib.decompressobj(_GZIP).decompress((root / graph).read_bytes(), LARGEST_BYTES + 1)
    except zlib.error:
        xml = b""
    weights = (root / numbers).read_bytes()
    fault = fault_of(xml, len(weights), int(inputs or 1))
    if fault:
        raise _malicious(root, f"{graph} {fault}")
    window = told.get("window")
    sizes = tuple(int(size) for size in window) if isinstance(window, list) else None
    return Int8(str(part), xml, weights, told.get("outputs"), int(inputs or 1), sizes)


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
    forms = int8_of(root)
    if not forms:
        return ()
    why = "it is for the CPU" if device != "cpu" else ""
    if not why and importlib.util.find_spec("openvino") is None:
        why = "OpenVINO is not installed (pip install openvino)"
    if why:
        return (f"The 8-bit form of this model is not used: {why}. Its float weights are, which are slower.",)
    import torch

    from medai.engine.backends import openvino

    places = dict(network.named_modules())
    for form in forms:
        if form.part not in places:
            raise _unusable(root, f"Its network has no part '{form.part}', of which it has an 8-bit form")
        module = places[form.part]
        files = {openvino.XML: form.xml, openvino.BIN: form.weights}
        runner = openvino.load(files, torch.get_num_threads(), form.window)
        module.forward = Int8Forward(module, runner, form.outputs, form.window, form.inputs)
    return (IN_INT8,)


def in_int8(network: torch.nn.Module) -> bool:
    """Whether a network, or any part of it, is computed in its 8-bit form."""
    return any(isinstance(module.__dict__.get("forward"), Int8Forward) for module in network.modules())


def in_float(network: torch.nn.Module) -> torch.nn.Module:
    """The same network computed with its float weights."""
    if not in_int8(network):
        return network
    whole = isinstance(network.__dict__.get("forward"), Int8Forward)
    plain = copy.copy(network) if whole else copy.deepcopy(network)
    for module in (plain,) if whole else plain.modules():
        if isinstance(module.__dict__.get("forward"), Int8Forward):
            module.__dict__.pop("forward")
    return plain


class Int8Forward:
    """Called in place of a network's ``forward``.

    What the 8-bit form cannot do goes to the network itself: gradients, other windows, other dtypes, further arguments.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        runner: Runner,
        outputs: Any,
        window: Sequence[int] | None = None,
        inputs: int = 1,
    ) -> None:
        self._network, self._runner = network, runner
        self._outputs, self._window, self._inputs = outputs, None if window is None else tuple(window), inputs

    def __call__(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        import torch

        from medai.engine.backends.converted import like

        given = (x, *args)
        takes = x.dtype == torch.float32 and x.numel() > 0 and not torch.is_grad_enabled()
        takes = takes and not kwargs and len(given) == self._inputs and not self._network.training
        takes = takes and all(isinstance(one, torch.Tensor) and one.device.type == "cpu" for one in given)
        if not takes or self._window not in (None, tuple(x.shape[1:])):
            return type(self._network).forward(self._network, x, *args, **kwargs)
        plain = [one.detach().as_subclass(torch.Tensor).contiguous() for one in given]
        return _filled(self._outputs, [like(one, x) for one in self._runner.outputs(*plain)])

    def at_once(self, window: tuple[int, ...]) -> int:
        """How many windows of that size, (C, spatial), are best handed over together."""
        from medai.engine.backends.converted import at_once

        return at_once(self._runner, window)

    def __deepcopy__(self, memo: dict[int, Any]) -> Int8Forward:
        # The compiled network is shared: it cannot be copied, and never changes.
        return Int8Forward(copy.deepcopy(self._network, memo), self._runner, self._outputs, self._window, self._inputs)


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
