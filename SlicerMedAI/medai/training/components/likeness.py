"""How alike made-up and real cases are as a whole, to know which weights of a generator to keep."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from ignite.metrics import Metric
from monai.utils.enums import CommonKeys
from torch import Tensor

_WIDTH = 16
_SEED = 2010
_HALVINGS = 3


class Likeness(Metric):  # type: ignore[misc]
    """Minus the Frechet distance between the features of made-up and of real cases (Heusel et al., NeurIPS 2017).

    The features are means and deviations of what a small network with fixed random weights sees, at three resolutions:
    such networks tell distributions of images of any kind apart where no trained one knows them (Naeem et al., ICML
    2020). So the values compare states of one training, and nothing else.

    Parameters
    ----------
    form
        Of the cases, see `medai.training.components.imagining`: what a class is asked for is left out.
    """

    def __init__(self, form: Any) -> None:
        self.form = form
        self._made: list[Tensor] = []
        self._real: list[Tensor] = []
        super().__init__(output_transform=lambda output: (output[CommonKeys.PRED], output[CommonKeys.LABEL]))

    def reset(self) -> None:
        """Forget all cases."""
        self._made, self._real = [], []

    def update(self, output: tuple[Tensor, Tensor]) -> None:
        """Another batch of made-up and of real cases (B, C, ...)."""
        for kept, cases in zip((self._made, self._real), output, strict=True):
            kept.append(features(cases[:, : self.form.made]))

    def compute(self) -> float:
        """0 for the same distribution, else less; minus infinity where there is something that is no number."""
        made, real = torch.cat(self._made), torch.cat(self._real)
        return -frechet_distance(made, real) if made.isfinite().all() else -math.inf


def features(cases: Tensor) -> Tensor:
    """A vector for each case (B, C, ...), shape (B, F), in double precision."""
    dimensions = cases.ndim - 2
    convolve = (torch.nn.functional.conv2d, torch.nn.functional.conv3d)[dimensions - 2]
    generator = torch.Generator().manual_seed(_SEED)
    seen, found = cases.detach().cpu().float(), []
    for _ in range(_HALVINGS):
        shape = (_WIDTH, seen.shape[1], *[3] * dimensions)
        weight = torch.randn(shape, generator=generator)
        weight /= weight[0].numel() ** 0.5
        seen = torch.nn.functional.leaky_relu(convolve(seen, weight, stride=2, padding=1), 0.2) * 2**0.5
        flat = seen.flatten(2).double()
        found += [flat.mean(dim=2), flat.std(dim=2, correction=0)]
    return torch.cat(found, dim=1)


def frechet_distance(one: Tensor, other: Tensor) -> float:
    """Between normal distributions with the means and covariances of two sets of vectors (N, F), N of 2 or more.

    Also where there are fewer vectors than numbers in each, which leaves covariances without an inverse.
    """
    covariances: Sequence[Tensor] = [torch.cov(vectors.T) for vectors in (one, other)]
    values, axes = torch.linalg.eigh(covariances[0])
    root = axes @ torch.diag(values.clamp_min(0).sqrt()) @ axes.T
    shared = torch.linalg.eigvalsh(root @ covariances[1] @ root).clamp_min(0).sqrt().sum()
    apart = ((one.mean(dim=0) - other.mean(dim=0)) ** 2).sum()
    return float(apart + covariances[0].trace() + covariances[1].trace() - 2 * shared)
