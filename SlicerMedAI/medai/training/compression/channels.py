"""Which channels of which weights belong together: found by watching a network compute.

A channel that one layer makes is read by others, added to, put behind others and normalised; it can only go everywhere
at once (Fang et al., DepGraph, CVPR 2023). Here every function of PyTorch that the network calls is seen with its
arguments, and what it does to the channel axis (the second one) is followed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_ADDS = {"add", "__add__", "__iadd__", "add_", "__radd__", "sub", "__sub__", "mul", "__mul__", "__imul__", "__rmul__"}
_NORMS = {"batch_norm", "instance_norm", "group_norm", "prelu"}


class Channels(TorchFunctionMode):  # type: ignore[misc]
    """Follows channels through one forward pass.

    Attributes
    ----------
    slots : dict
        For each tensor of the network's state and each of its axes, the channel at every place along it.
    spaces : list
        Channels that one layer makes together.

    Parameters
    ----------
    network : torch.nn.Module
    """

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self._names: dict[int, list[str]] = {}
        for name, tensor in network.state_dict(keep_vars=True).items():
            self._names.setdefault(id(tensor), []).append(name)
        self.slots: dict[tuple[str, int], list[int]] = {}
        self.spaces: list[list[int]] = []
        self._parent: list[int] = []
        self._of: dict[int, list[int]] = {}
        self._alive: list[torch.Tensor] = []  # so that no tensor takes the place of another in the computer's memory

    def begin(self, x: torch.Tensor) -> None:
        """Say what the network is called with."""
        self._mark(x, self.made(x.shape[1]))

    def root(self, channel: int) -> int:
        """One channel that stands for all that it is added to."""
        while self._parent[channel] != channel:
            self._parent[channel] = self._parent[self._parent[channel]]
            channel = self._parent[channel]
        return channel

    def __torch_function__(
        self, function: Callable[..., Any], _: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        given = list(args)
        found = function(*args, **kwargs)
        name = getattr(function, "__name__", "")
        if isinstance(found, torch.Tensor):
            self._follow(name, given, kwargs, found)
        elif isinstance(found, (tuple, list)):
            for part in found:
                if isinstance(part, torch.Tensor):
                    self._follow(name, given, kwargs, part)
        return found

    def _follow(self, name: str, args: list[Any], kwargs: Mapping[str, Any], found: torch.Tensor) -> None:
        if name.startswith("conv") and "weight" not in kwargs:
            self._convolution(name, args, kwargs, found)
        elif name == "linear":
            self._linear(args, kwargs, found)
        elif name == "cat":
            self._concatenation(args, kwargs, found)
        elif name == "__getitem__":
            self._selection(args[0], args[1], found)
        else:
            self._others(name, args, kwargs, found)

    def _convolution(self, name: str, args: list[Any], kwargs: Mapping[str, Any], found: torch.Tensor) -> None:
        x, weight = args[0], args[1]
        bias = args[2] if len(args) > 2 else kwargs.get("bias")
        reads = self._of.get(id(x))
        transposed = "transpose" in name
        groups = kwargs.get("groups", args[6] if len(args) > 6 else 1)
        if reads is None:
            return
        if groups == len(reads) == found.shape[1]:  # each channel for itself
            makes = reads
        elif groups == 1:
            makes = self.made(found.shape[1])
            self.belong(weight, 0 if transposed else 1, reads)
        else:
            return  # what cannot be followed shows when the sizes of the smaller network do not fit
        self.belong(weight, 1 if transposed and groups == 1 else 0, makes)
        self.belong(bias, 0, makes)
        self._mark(found, makes)

    def _linear(self, args: list[Any], kwargs: Mapping[str, Any], found: torch.Tensor) -> None:
        x, weight = args[0], args[1]
        reads = self._of.get(id(x))
        if reads is None or x.ndim != 2 or len(reads) != weight.shape[1]:
            return
        makes = self.made(weight.shape[0])
        self.belong(weight, 1, reads)
        self.belong(weight, 0, makes)
        self.belong(args[2] if len(args) > 2 else kwargs.get("bias"), 0, makes)
        self._mark(found, makes)

    def _concatenation(self, args: list[Any], kwargs: Mapping[str, Any], found: torch.Tensor) -> None:
        parts = [self._of.get(id(part)) for part in args[0]]
        axis = kwargs.get("dim", args[1] if len(args) > 1 else 0)
        known = [part for part in parts if part is not None]
        if axis == 1 and len(known) == len(parts):
            self._mark(found, [channel for part in known for channel in part])
        elif known:
            for part in known[1:]:
                self._join(known[0], part)
            self._mark(found, known[0])

    def _selection(self, x: torch.Tensor, chosen: Any, found: torch.Tensor) -> None:
        reads = self._of.get(id(x))
        every, some = chosen if isinstance(chosen, tuple) and len(chosen) == 2 else (None, None)
        if reads is not None and every == slice(None) and isinstance(some, (slice, torch.Tensor)):
            self._mark(found, torch.tensor(reads)[some].tolist())

    def _others(self, name: str, args: list[Any], kwargs: Mapping[str, Any], found: torch.Tensor) -> None:
        tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)]
        inputs = [self._of[id(value)] for value in tensors if id(value) in self._of]
        if not inputs:
            return
        reads = inputs[0]
        if name in _NORMS or name in _ADDS:
            for value in tensors:
                if id(value) in self._names and value.ndim == 1 and len(value) == len(reads):
                    self.belong(value, 0, reads)
        if found.ndim < 2:
            return
        size = found.shape[1]
        for other in inputs[1:]:
            if len(other) == len(reads):
                self._join(reads, other)
        reads = max(inputs, key=len)
        if size == len(reads):
            self._mark(found, reads)
        elif name not in ("flatten", "view", "reshape"):
            return
        elif size % len(reads) == 0:
            self._mark(found, [channel for channel in reads for _ in range(size // len(reads))])
        elif len(reads) % size == 0 and tensors[0].ndim == 2:  # numbers become the places of channels
            count = len(reads) // size
            for first in range(0, len(reads), count):
                self._join([reads[first]] * count, reads[first : first + count])
            self._mark(found, reads[::count])

    def made(self, count: int) -> list[int]:
        """New channels that one layer makes."""
        made = list(range(len(self._parent), len(self._parent) + count))
        self._parent += made
        self.spaces.append(made)
        return made

    def _mark(self, tensor: torch.Tensor, channels: list[int]) -> None:
        self._of[id(tensor)] = channels
        self._alive.append(tensor)

    def belong(self, tensor: Any, axis: int, channels: list[int]) -> None:
        """Say which channels lie along an axis of a weight of the network."""
        for name in self._names.get(id(tensor), ()):
            known = self.slots.setdefault((name, axis), channels)
            self._join(known, channels)  # a layer that is used twice

    def _join(self, one: Sequence[int], other: Sequence[int]) -> None:
        for a, b in zip(one, other, strict=True):
            self._parent[self.root(a)] = self.root(b)


def followed(network: torch.nn.Module, x: torch.Tensor) -> Channels:
    """The channels of a network, seen while it computes `x`, shape (1, C, *spatial)."""
    channels = Channels(network)
    x = x.detach().as_subclass(torch.Tensor)
    channels.begin(x)
    with torch.no_grad(), channels:
        network(x)
    return channels
