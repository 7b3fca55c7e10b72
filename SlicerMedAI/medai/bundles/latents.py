"""What a generator of images starts with: random numbers, as many and of the kind it was trained with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from medai.bundles import configs
from medai.bundles.labels import input_specs

_MOST_NUMBERS = 2**24


@dataclass(frozen=True)
class Latents:
    """A distribution of latent codes.

    Parameters
    ----------
    shape : tuple of int
        Of one code, without batch.
    uniform : bool
        Uniform from 0 to 1, else standard normal.
    """

    shape: tuple[int, ...]
    uniform: bool = False

    def draw(self, count: int, seed: int) -> torch.Tensor:
        """`count` codes, shape (count, \\*shape), float32 on the CPU; the same for the same seed."""
        generator = torch.Generator().manual_seed(seed)
        make = torch.rand if self.uniform else torch.randn
        return make((count, *self.shape), generator=generator)


def latents_of(network: torch.nn.Module, metadata: Mapping[str, Any], content: Mapping[str, Any]) -> Latents | None:
    """The codes a network takes, or None when it takes images.

    Parameters
    ----------
    network : torch.nn.Module
        MONAI's generators know the shape of their codes.
    metadata, content : mapping
        Metadata, whose input is then called or described as latent, and configuration, whose dataset draws codes from
        the distribution the network was trained with.
    """
    shape = _described(metadata) or getattr(network, "latent_shape", None)
    if not isinstance(shape, (tuple, list)) or not all(isinstance(size, int) and size > 0 for size in shape):
        return None
    if int(torch.tensor(shape, dtype=torch.float64).prod()) > _MOST_NUMBERS:
        return None
    dataset = content.get("dataset")
    drawn = " ".join(text for _, text in configs.strings(dataset if isinstance(dataset, Mapping) else {}))
    return Latents(tuple(shape), uniform=bool(re.search(r"\brand(om\.random|om\.uniform)?\(", drawn)))


def _described(metadata: Mapping[str, Any]) -> tuple[int, ...] | None:
    for name, spec in input_specs(metadata).items():
        if "latent" in f"{name} {spec.get('format')}".lower():
            size, channels = spec.get("spatial_shape"), spec.get("num_channels")
            if isinstance(size, list) and size and all(isinstance(n, int) for n in size):
                return (*([channels] if isinstance(channels, int) and channels > 0 else []), *size)
    return None
