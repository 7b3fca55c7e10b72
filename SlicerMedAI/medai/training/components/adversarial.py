"""A generator against a discriminator (Goodfellow et al., NeurIPS 2014), with losses that train stably."""

from __future__ import annotations

from typing import Any

import torch
from monai.inferers import SimpleInferer
from torch import Tensor
from torch.nn.functional import relu

from medai.training.components.distributed import of_all, own
from medai.training.components.gan_augmentation import DifferentiableAugmentation
from medai.training.components.precision import Bfloat16Inferer


def lipschitz(network: torch.nn.Module) -> torch.nn.Module:
    """The same discriminator, none of whose layers can stretch a difference (spectral norm, Miyato et al., ICLR 2018).

    Its slope is bounded, so the generator always has a direction to go.
    """
    for module in list(network.modules()):
        if isinstance(getattr(module, "weight", None), Tensor) and module.weight.ndim > 1:
            torch.nn.utils.parametrizations.spectral_norm(module)
    return network


class Opinion:
    """What a discriminator says of cases, which it sees changed at random and several at once.

    Parameters
    ----------
    network : torch.nn.Module
        The discriminator: one number for every case, higher for real ones.
    augmentation : DifferentiableAugmentation
    packed : int
        Cases that it sees at once, all real or all made up, as channels: so it notices when those that are made are too
        much alike, and the generator has to make different ones (Lin et al., PacGAN, NeurIPS 2018).
    loss : str
        ``"hinge"`` (Lim and Ye, arXiv 1705.02894) or ``"least_squares"`` (Mao et al., ICCV 2017).
    bf16 : bool
        See `Bfloat16Inferer`.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        augmentation: DifferentiableAugmentation,
        *,
        packed: int = 1,
        loss: str = "hinge",
        bf16: bool = False,
    ) -> None:
        self.network, self.augmentation, self.packed, self.hinge = network, augmentation, packed, loss == "hinge"
        self.inferer: Any = Bfloat16Inferer() if bf16 else SimpleInferer()

    def of_both(self, made: Tensor, real: Tensor) -> Tensor:
        """The discriminator's loss: it is to tell the two apart. Called by MONAI's `GanTrainer`."""
        of_made, of_real = self._says(made.detach()), self._says(real)
        if self.hinge:
            return relu(1 + of_made).mean() + relu(1 - of_real).mean()
        return (of_made**2).mean() + ((of_real - 1) ** 2).mean()

    def of_made(self, made: Tensor) -> Tensor:
        """The generator's loss: what it makes is to be taken for real. Called by MONAI's `GanTrainer`."""
        said = self._says(made)
        return -said.mean() if self.hinge else ((said - 1) ** 2).mean()

    def _says(self, cases: Tensor) -> Tensor:
        # Each process draws the random numbers of the whole batch, so that none changes its cases as another does.
        packs = own(self._packs(self.augmentation(of_all(cases))))
        found: Tensor = self.inferer(packs, self.network)
        return found.float().flatten()

    def _packs(self, cases: Tensor) -> Tensor:
        # What does not fill a pack is seen twice.
        places = torch.arange(-(-len(cases) // self.packed) * self.packed, device=cases.device) % len(cases)
        return cases[places].unflatten(0, (-1, self.packed)).flatten(1, 2)
