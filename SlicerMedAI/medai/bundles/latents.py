"""What a generator of images starts with: random numbers, as many and of the kind it was trained with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from medai.bundles import configs
from medai.bundles.labels import conditions_of, input_specs

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
    conditions : tuple of str
        What an image can be asked to show. The last numbers of a code belong to them: 1 for the one that is asked for,
        0 for the others (Mirza and Osindero, arXiv 1411.1784).
    """

    shape: tuple[int, ...]
    uniform: bool = False
    conditions: tuple[str, ...] = ()

    def draw(self, count: int, seed: int, condition: int = 0) -> torch.Tensor:
        """`count` codes, shape (count, \\*shape), float32 on the CPU; the same for the same seed.

        Parameters
        ----------
        count, seed : int
        condition : int
            Place of what the images are to show in `conditions`.
        """
        generator = torch.Generator().manual_seed(seed)
        make = torch.rand if self.uniform else torch.randn
        return self.of(make((count, *self.shape), generator=generator), condition)

    def between(self, first: torch.Tensor, last: torch.Tensor, share: float, condition: int = 0) -> torch.Tensor:
        """A code on the way between two, as probable as they are: along the sphere (White, arXiv 1609.04468).

        Parameters
        ----------
        first, last : torch.Tensor
            Codes, shape (1, \\*shape).
        share : float
            0 gives the first, 1 the last, exactly.
        condition : int
            As for `draw`.
        """
        a, b = (self._free(code).flatten().double() for code in (first, last))
        angle = torch.arccos((a @ b / (a.norm() * b.norm()).clamp_min(1e-12)).clamp(-1, 1))
        if share in (0, 1) or self.uniform or float(angle.sin()) < 1e-6:
            mixed = a * (1 - share) + b * share  # a cube has no sphere
        else:
            mixed = (a * torch.sin((1 - share) * angle) + b * torch.sin(share * angle)) / angle.sin()
        code = first.clone()
        self._free(code).copy_(mixed.view_as(self._free(code)))
        return self.of(code, condition)

    def of(self, codes: torch.Tensor, condition: int) -> torch.Tensor:
        """The same codes, for what they are to show; where nothing can be asked for, as they are."""
        if self.conditions:
            asked = codes[:, len(codes[0]) - len(self.conditions) :]
            asked.zero_()
            asked[:, condition] = 1
        return codes

    def _free(self, code: torch.Tensor) -> torch.Tensor:
        """A view on the numbers that no condition takes."""
        return code[:, : code.shape[1] - len(self.conditions)]


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
    conditions = conditions_of(metadata)
    if conditions and (len(shape) != 1 or shape[0] <= len(conditions)):
        return None
    drawn = " ".join(text for _, text in configs.strings(dataset if isinstance(dataset, Mapping) else {}))
    uniform = bool(re.search(r"\brand(om\.random|om\.uniform)?\(", drawn))
    return Latents(tuple(shape), uniform, conditions)


def _described(metadata: Mapping[str, Any]) -> tuple[int, ...] | None:
    for name, spec in input_specs(metadata).items():
        if "latent" in f"{name} {spec.get('format')}".lower():
            size, channels = spec.get("spatial_shape"), spec.get("num_channels")
            if isinstance(size, list) and size and all(isinstance(n, int) for n in size):
                return (*([channels] if isinstance(channels, int) and channels > 0 else []), *size)
    return None
