"""Convolutions as products of thinner ones: Tucker-2 along both channel axes (Kim et al., ICLR 2016).

A kernel W (out, in, *k) becomes U_out (core x (U_in^T x)): a pointwise convolution to few channels, the kernel's own
size between few channels, and a pointwise one to all. Ranks are the fewest that keep the wanted share of the squared
norm of W's unfoldings; the factors are those of higher-order orthogonal iteration (De Lathauwer et al., SIAM J. Matrix
Anal. Appl. 2000).
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch.nn.modules.conv import Conv2d, Conv3d

from medai.bundles.exchanges import EXCHANGE, FACTORS, WHOLE
from medai.errors import InputError

Config = dict[str, Any]
NETWORKS = ("network_def", "network", "net")
_ROUNDS = 5


def decomposed(
    network: torch.nn.Module, content: Config, energy: float, name: str
) -> tuple[Config, dict[str, torch.Tensor], int]:
    """A configuration of the network with thinner convolutions, and the weights of it.

    Parameters
    ----------
    network : torch.nn.Module
        With its weights, on the CPU; it is not changed.
    content : dict
        Of ``inference.json``; it is not changed.
    energy : float
        Share of the squared norm of each unfolding that is kept, at most 1.
    name : str
        What a person calls the model.

    Returns
    -------
    content : dict
        MONAI's ``replace_modules`` puts ``torch.nn`` convolutions in the place of others; no code of medai is needed.
    state : dict
        Weights by name.
    count : int
        Convolutions that were divided.

    Raises
    ------
    InputError
        When no convolution is worth it, or the configuration does not describe the network in one piece.
    """
    key = next((key for key in NETWORKS if key in content), None)
    if key is None:
        raise InputError(
            f"The model '{name}' cannot be decomposed.",
            "Its configuration has no network_def in which convolutions could be exchanged.",
            "Quantise it instead.",
        )
    state = dict(network.state_dict())
    factors: dict[str, str] = {}
    calls: list[Config] = []
    divided: dict[int, tuple[str, tuple[torch.Tensor, ...]]] = {}
    # Some networks know one layer by several names; all of them must lead to the same factors.
    for place, module in network.named_modules(remove_duplicate=False):
        if type(module) not in (Conv2d, Conv3d):
            continue
        if id(module) not in divided:
            found = _factors(module, energy)
            if found is None:
                continue
            divided[id(module)] = f"{FACTORS}{len(divided)}", found
            factors[f"{FACTORS}{len(factors)}"] = _expression(module, found)
        factor, parts = divided[id(module)]
        calls.append(
            {
                "_target_": EXCHANGE,
                "parent": f"@{WHOLE}",
                "name": place,
                "new_module": f"@{factor}",
                "match_device": False,
            }
        )
        for old in [other for other in state if other.startswith(f"{place}.")]:
            del state[old]
        state |= {f"{place}.{number}.weight": part for number, part in enumerate(parts)}
        if module.bias is not None:
            state[f"{place}.2.bias"] = module.bias.detach()
    if not any(type(module) in (Conv2d, Conv3d) for module in network.modules()):
        raise InputError(
            f"The model '{name}' cannot be decomposed.",
            "Its network has no convolutions, whose kernels would be products of thinner ones.",
            "Quantise or prune it, or distil it into a smaller one.",
        )
    if not calls:
        raise InputError(
            f"The model '{name}' is not made smaller by this.",
            f"None of its convolutions has factors that keep {100 * energy:g} % of it with fewer weights.",
            "Keep less (--energy 0.6), or prune or quantise it instead.",
        )
    changed = copy.deepcopy(content)
    whole = changed.pop(key)
    # In the order of the keys a person reads what is done; MONAI resolves what is referred to first.
    changed |= {WHOLE: whole, **factors, "exchanged": calls, key: f"$(@exchanged, @{WHOLE})[1]"}
    return changed, state, len(divided)


def _factors(module: Conv2d | Conv3d, energy: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None:
    """Weights of the three convolutions; None where they are not fewer than the one's."""
    weight = module.weight.detach().double()
    if module.groups != 1 or math.prod(module.kernel_size) == 1 or module.padding_mode != "zeros":
        return None
    ranks = [_rank(_unfolded(weight, axis), energy) for axis in (0, 1)]
    makes, reads = weight.shape[:2]
    kernel = math.prod(module.kernel_size)
    fewer = reads * ranks[1] + ranks[0] * ranks[1] * kernel + ranks[0] * makes
    if energy < 1 and fewer >= weight.numel():
        return None
    outer, inner = (_basis(_unfolded(weight, axis), rank) for axis, rank in enumerate(ranks))
    for _ in range(_ROUNDS):
        outer = _basis(_unfolded(torch.einsum("oi...,ir->or...", weight, inner), 0), ranks[0])
        inner = _basis(_unfolded(torch.einsum("oi...,or->ri...", weight, outer), 1), ranks[1])
    core = torch.einsum("oi...,or,is->rs...", weight, outer, inner)
    ones = (1,) * len(module.kernel_size)
    factors = (inner.T.reshape(ranks[1], reads, *ones), core, outer.reshape(makes, ranks[0], *ones))
    first, second, third = (factor.to(module.weight.dtype).contiguous() for factor in factors)
    return first, second, third


def _unfolded(weight: torch.Tensor, axis: int) -> torch.Tensor:
    return weight.movedim(axis, 0).flatten(1)


def _rank(matrix: torch.Tensor, energy: float) -> int:
    values = torch.linalg.svdvals(matrix).square()
    if energy >= 1:
        return len(values)
    kept = values.cumsum(0) / values.sum().clamp_min(1e-300)
    return min(int((kept < energy).sum()) + 1, len(values))


def _basis(matrix: torch.Tensor, rank: int) -> torch.Tensor:
    """The leading left singular vectors."""
    return torch.linalg.svd(matrix, full_matrices=False)[0][:, :rank]


def _expression(module: Conv2d | Conv3d, parts: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> str:
    kind = f"torch.nn.{type(module).__name__}"
    around = ", ".join(
        f"{name}={list(value) if isinstance(value, tuple) else repr(value)}"
        for name, value in (
            ("kernel_size", module.kernel_size),
            ("stride", module.stride),
            ("padding", module.padding),
            ("dilation", module.dilation),
        )
    )
    first, core, last = (tuple(part.shape[:2]) for part in parts)
    return (
        f"$torch.nn.Sequential({kind}({first[1]}, {first[0]}, 1, bias=False), "
        f"{kind}({core[1]}, {core[0]}, {around}, bias=False), "
        f"{kind}({last[1]}, {last[0]}, 1, bias={module.bias is not None}))"
    )
