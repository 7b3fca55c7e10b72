"""An image that is made into another, against a discriminator that sees both (Isola et al., CVPR 2017)."""

from __future__ import annotations

from typing import Any

import torch
from monai.inferers import SimpleInferer
from monai.losses import PatchAdversarialLoss
from monai.utils.enums import CommonKeys
from torch import Tensor

from medai.training.components.precision import Bfloat16Inferer


class Translation(SimpleInferer):  # type: ignore[misc]
    """What MONAI's `GanTrainer` asks for when it trains on pairs: the two batches, the two losses, the inferer.

    Parameters
    ----------
    discriminator : torch.nn.Module
        MONAI's `PatchDiscriminator`: given the image beside what was made of it, it says of every patch whether it is
        real.
    likeness : torch.nn.Module
        Difference of what was made to what it should be.
    adversarial : float
        Weight of what the discriminator says, beside `likeness`.
    bf16 : bool
        See `Bfloat16Inferer`.
    """

    def __init__(
        self, discriminator: torch.nn.Module, likeness: torch.nn.Module, *, adversarial: float, bf16: bool = False
    ) -> None:
        super().__init__()
        self.discriminator, self.likeness, self.adversarial = discriminator, likeness, adversarial
        self._opinion = PatchAdversarialLoss(criterion="least_squares", reduction="mean")
        self._inferer = Bfloat16Inferer() if bf16 else SimpleInferer()
        self._image = self._target = torch.empty(0)
        self._made: Tensor | None = None

    def targets(self, batch: dict[str, Tensor], device: torch.device, *_: Any, **__: Any) -> Tensor:
        """What is to be made of a batch of images; the trainer asks for it first in every step."""
        self._image, self._target = (batch[key].to(device) for key in (CommonKeys.IMAGE, CommonKeys.LABEL))
        self._made = None
        return self._target

    def source(self, **_: Any) -> Tensor:
        """The images of the same batch."""
        return self._image

    def __call__(self, inputs: Tensor, network: Any, *args: Any, **kwargs: Any) -> Tensor:
        """What the generator makes of the batch: once, for the trainer asks before and after the discriminator's step.

        Only the generator's own step changes it.
        """
        if self._made is None:
            self._made = self._inferer(inputs, network, *args, **kwargs).float()
        return self._made

    def of_both(self, made: Tensor, real: Tensor) -> Tensor:
        """The discriminator's loss: it is to tell the two apart."""
        wrong = self._opinion(self._says(made.detach()), target_is_real=False, for_discriminator=True)
        right = self._opinion(self._says(real), target_is_real=True, for_discriminator=True)
        return (wrong + right) / 2

    def of_made(self, made: Tensor) -> Tensor:
        """The generator's loss: it is to make what it should, and to be taken for real."""
        loss: Tensor = self.likeness(made, self._target)
        if not self.adversarial:
            return loss
        told = self._opinion(self._says(made), target_is_real=True, for_discriminator=False)
        return loss + self.adversarial * told

    def _says(self, images: Tensor) -> Tensor:
        found: Tensor = self._inferer(torch.cat((self._image, images), dim=1), self._last)
        return found

    def _last(self, both: Tensor) -> Tensor:
        """Of its layers' outputs, what it says."""
        return self.discriminator(both)[-1]  # type: ignore[no-any-return]
