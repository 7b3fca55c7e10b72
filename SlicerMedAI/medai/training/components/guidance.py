"""A classifier is shown, while it learns, where in its images the answer lies."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import default_prepare_batch
from monai.networks.layers import Conv
from monai.transforms import Transform
from monai.utils.enums import CommonKeys
from torch import Tensor
from torch.nn import functional

from medai.training.components.distributed import of_whole_batch, shared

MASK = "mask"


class KnownMask(Transform):  # type: ignore[misc]
    """A mask of zeros and ones for every case, and of NaN for a case that has none.

    Parameters
    ----------
    size : sequence of int
        Voxels of the network's image.
    """

    def __init__(self, size: Sequence[int]) -> None:
        self.size = tuple(size)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The dictionary with ``"mask"``, of shape (1, \\*size)."""
        mask = data.get(MASK)
        known = torch.full((1, *self.size), torch.nan) if mask is None else (torch.as_tensor(mask) > 0).float()
        return {**data, MASK: known}


class WithMask:
    """MONAI's ``prepare_batch``, with the masks beside the labels."""

    def __call__(self, batch: Mapping[str, Any], *choices: Any, **more: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """Images, and labels and masks by name."""
        image, label = default_prepare_batch(batch, *choices, **more)
        return image, {CommonKeys.LABEL: label, MASK: batch[MASK].to(image.device)}


class GuidedLoss(torch.nn.Module):  # type: ignore[misc]
    """A classifier's loss, and that of a map that marks each class where it is seen.

    The map is made of one inner stage of the network by a convolution of its own, which is of no use after the training
    and not part of the model. Such a second task steers a network of few cases to what matters (Caruana, Machine
    Learning 28, 1997).

    Parameters
    ----------
    loss : Module
        Of logits (B, C) and class numbers (B,).
    stage : str
        Name of the network's stage.
    channels : int
        Of the stage.
    classes : int
    spatial_dims : int
    weight : float
        Of the map's binary cross entropy, summed over classes.
    device : device
        Of the network.
    """

    def __init__(
        self,
        loss: torch.nn.Module,
        *,
        stage: str,
        channels: int,
        classes: int,
        spatial_dims: int,
        weight: float,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        self.loss, self.stage, self.weight = loss, stage, weight
        self.marking = Conv[Conv.CONV, spatial_dims](channels, classes, 1).to(device)
        self._shared: list[torch.nn.Module] = []
        self._seen: Tensor | None = None

    def attach(self, engine: Engine) -> None:
        """Called by MONAI's engines."""
        # Later than now: a network is copied for its moving average, and the copy is not to be listened to.
        engine.add_event_handler(Events.STARTED, self._listen)

    def _listen(self, engine: Engine) -> None:
        network = getattr(engine.network, "module", engine.network)
        network.get_submodule(self.stage).register_forward_hook(self._see)
        # In a list, because it is the same module once more.
        self._shared = [shared(self.marking)]

    def _see(self, _: torch.nn.Module, __: object, output: Tensor) -> None:
        self._seen = output

    def forward(self, logits: Tensor, target: Mapping[str, Tensor]) -> Tensor:
        """Both losses together.

        Parameters
        ----------
        logits : Tensor, shape (B, C)
        target : mapping
            ``"label"`` (B,), and ``"mask"`` (B, 1, ...) of zeros and ones, or NaN where it is not known.
        """
        label, mask = target[CommonKeys.LABEL], target[MASK]
        return self.loss(logits, label) + self.weight * self._marked(label.flatten(), mask)

    def _marked(self, label: Tensor, mask: Tensor) -> Tensor:
        assert self._seen is not None, "The network has not been listened to."
        marks = self._shared[0](self._seen.float())
        pool = functional.adaptive_avg_pool2d if marks.ndim == 4 else functional.adaptive_avg_pool3d
        mask = pool(mask.as_subclass(Tensor).to(marks), marks.shape[2:])
        return of_whole_batch(_of_marks, marks, mask, label.float().to(marks))


def _of_marks(marks: Tensor, mask: Tensor, label: Tensor) -> Tensor:
    """Mean over places, summed over classes."""
    flat = [1] * (marks.ndim - 2)
    known = ~torch.isnan(mask) & ~torch.isnan(label).reshape(-1, 1, *flat)
    here = torch.where(known, mask, torch.zeros_like(mask))
    own = functional.one_hot(label.nan_to_num().long(), marks.shape[1]).to(here)
    wanted = here * own.reshape(*marks.shape[:2], *flat)
    each = functional.binary_cross_entropy_with_logits(marks, wanted, reduction="none").sum(1, keepdim=True)
    return (each * known).sum() / known.sum().clamp(min=1)
