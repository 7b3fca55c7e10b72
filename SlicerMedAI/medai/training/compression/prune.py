"""Take whole channels out of a network: those of smallest L1 norm (Li et al., ICLR 2017)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import torch

from medai.errors import InputError
from medai.networks.forecaster import SeriesForecaster
from medai.training.compression.channels import Channels, followed
from medai.training.compression.compiled import Call
from medai.training.compression.recurrent import of_forecaster


def pruned(network: torch.nn.Module, smaller: torch.nn.Module, call: Call, name: str) -> dict[str, torch.Tensor]:
    """Weights of the smaller network: those of the larger one at the channels that are kept.

    Parameters
    ----------
    network : torch.nn.Module
        In eval mode, on the CPU.
    smaller : torch.nn.Module
        The same network with fewer channels, as `medai.training.compression.widths.narrowed` describes it.
    call : Call
        As the network is called.
    name : str
        What a person calls the model.

    Raises
    ------
    InputError
        When it cannot be told which channels belong together.
    """
    channels = of_forecaster(network, call) if isinstance(network, SeriesForecaster) else followed(network, call[0])
    state, sizes = network.state_dict(), {key: value.shape for key, value in smaller.state_dict().items()}
    if set(state) != set(sizes):
        raise _unlike(name, "with fewer channels it has other layers")
    kept = _kept(channels, state, sizes)
    found = {}
    for key, value in state.items():
        part = value
        for axis in range(value.ndim):
            slot = channels.slots.get((key, axis))
            if slot is not None and value.shape[axis] != sizes[key][axis]:
                places = [place for place, channel in enumerate(slot) if channels.root(channel) in kept]
                part = part.index_select(axis, torch.tensor(places, dtype=torch.long))
        if part.shape != sizes[key]:
            raise _unlike(name, f"the channels of '{key}' could not be followed")
        found[key] = part.clone()
    return found


def _kept(channels: Channels, state: Mapping[str, torch.Tensor], sizes: Mapping[str, torch.Size]) -> set[int]:
    """The channels that stay, by the one that stands for each."""
    scores: dict[int, float] = defaultdict(float)
    for (name, axis), slot in channels.slots.items():
        value = state[name]
        if not value.is_floating_point() or value.ndim < 2:
            continue
        norms = value.abs().movedim(axis, 0).flatten(1).sum(1)
        # As a share of the layer's mean, so that large layers do not decide alone.
        norms = norms / norms.mean().clamp_min(1e-12)
        for channel, norm in zip(slot, norms.tolist(), strict=True):
            scores[channels.root(channel)] += norm
    together = _together(channels)
    wanted = _wanted(channels, together, sizes)
    kept: set[int] = set()
    for number, members in together.items():
        count = wanted.get(number, len(members))
        kept |= set(sorted(members, key=lambda channel: scores[channel], reverse=True)[:count])
    return kept


def _together(channels: Channels) -> dict[int, list[int]]:
    """Channels among which a choice is made, in groups: all that some layer makes, or that are added to these."""
    group: dict[int, int] = {}

    def first(channel: int) -> int:
        group.setdefault(channel, channel)
        while group[channel] != channel:
            channel = group[channel]
        return channel

    for space in channels.spaces:
        roots = list(dict.fromkeys(channels.root(channel) for channel in space))
        for other in roots[1:]:
            group[first(other)] = first(roots[0])
    found: dict[int, list[int]] = defaultdict(list)
    for channel in list(group):
        found[first(channel)].append(channel)
    for space in channels.spaces:  # of one channel
        root = channels.root(space[0])
        if root not in group:
            found[root] = [root]
    return found


def _wanted(channels: Channels, together: Mapping[int, list[int]], sizes: Mapping[str, torch.Size]) -> dict[int, int]:
    """How many of each group stay: as many as the smaller network has at an axis that is of this group alone."""
    of = {channel: number for number, members in together.items() for channel in members}
    wanted: dict[int, int] = {}
    for (name, axis), slot in channels.slots.items():
        roots = [channels.root(channel) for channel in slot]
        numbers = {of[root] for root in roots}
        if len(numbers) == 1 and len(set(roots)) == len(roots) == len(together[of[roots[0]]]):
            wanted[of[roots[0]]] = int(sizes[name][axis])
    return wanted


def _unlike(name: str, why: str) -> InputError:
    return InputError(
        f"Channels of the model '{name}' cannot be taken out.",
        f"It cannot be told which of them belong together: {why}.",
        "Distil it into a smaller network instead.",
    )
