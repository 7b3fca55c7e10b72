"""Losses of classifiers and denoisers; those of segmentations are MONAI's own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.losses import SSIMLoss
from torch import Tensor
from torch.nn import functional

_FOCUS = 2.0  # Lin et al., Focal Loss for Dense Object Detection, ICCV 2017


class FindingsLoss(torch.nn.Module):  # type: ignore[misc]
    """Cross entropy or focal loss of classes that exclude each other, or of findings that do not.

    What is not known (NaN) does not count.

    Parameters
    ----------
    kind : str
        ``"cross_entropy"`` or ``"focal"``.
    multi_label : bool
        Whether there are several findings, each present or absent.
    weights : sequence of float, optional
        Per class; of findings, of those that are present.
    smoothing : float
        Share of the truth that is spread over all classes (Szegedy et al., CVPR 2016); not of findings.
    """

    def __init__(
        self, kind: str, *, multi_label: bool = False, weights: Sequence[float] | None = None, smoothing: float = 0.0
    ) -> None:
        super().__init__()
        self.smoothing = smoothing
        self.focal = kind == "focal"
        self.multi_label = multi_label
        self.register_buffer("weights", None if weights is None else torch.tensor(weights), persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Mean over what is known; 0 when nothing is.

        Parameters
        ----------
        logits : Tensor, shape (B, C)
        target : Tensor, shape (B,) of class numbers, or (B, C) of findings 0, 1 or NaN
        """
        logits = logits.float()
        return self._findings(logits, target) if self.multi_label else self._classes(logits, target)

    def _classes(self, logits: Tensor, target: Tensor) -> Tensor:
        target = target.reshape(len(logits)).to(logits.device)
        known = ~torch.isnan(target.float())
        chosen = target[known].long()
        lost = -logits[known].log_softmax(1)
        each = lost.gather(1, chosen[:, None]).squeeze(1)
        weight = torch.ones_like(each) if self.weights is None else self.weights.to(each.device)[chosen]
        if self.focal:
            each = each * (1 - torch.exp(-each)) ** _FOCUS
        each = (1 - self.smoothing) * each + self.smoothing * lost.mean(1)
        return (each * weight).sum() / weight.sum().clamp(min=torch.finfo(each.dtype).eps)

    def _findings(self, logits: Tensor, target: Tensor) -> Tensor:
        target = target.reshape(logits.shape).to(logits)
        known = ~torch.isnan(target)
        target = torch.where(known, target, torch.zeros_like(target))
        weight = None if self.weights is None else self.weights.to(logits)
        each = functional.binary_cross_entropy_with_logits(logits, target, pos_weight=weight, reduction="none")
        if self.focal:
            each = each * (torch.sigmoid(logits) - target).abs() ** _FOCUS
        return (each * known).sum() / known.sum().clamp(min=1)


class RootMeanSquare(torch.nn.Module):  # type: ignore[misc]
    """Root of each image's mean squared error: an image with much noise pulls as hard as one with little.

    Of the squares themselves those with much would, and of their logarithm (decibels) those of nothing but air.

    Parameters
    ----------
    floor : float
        Error below which less of it gains little.
    """

    def __init__(self, floor: float = 1e-3) -> None:
        super().__init__()
        self.floor = floor

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Mean over the batch of images in which 1 is the full range, shape (B, C, ...)."""
        return _mean_squares(pred, target, self.floor).sqrt().mean()


class Decibels(torch.nn.Module):  # type: ignore[misc]
    """How far each image is below a perfect PSNR: what is gained for weak noise counts as much as for strong noise.

    Parameters
    ----------
    floor : float
        Error below which less of it gains little: without one, patches of nothing but air would count most.
    """

    def __init__(self, floor: float = 4e-3) -> None:
        super().__init__()
        self.floor = floor

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Mean over the batch of images in which 1 is the full range, shape (B, C, ...); 0 for no error."""
        return 10 * (_mean_squares(pred, target, self.floor) / self.floor**2).log10().mean()


def _mean_squares(pred: Tensor, target: Tensor, floor: float) -> Tensor:
    """Of each image's error, that of the floor added."""
    return ((pred - target) ** 2).flatten(1).mean(1) + floor**2


class KnownVoxels(torch.nn.Module):  # type: ignore[misc]
    """Another loss, of the voxels that are known, all images of a batch together.

    Parameters
    ----------
    loss : torch.nn.Module
        One of MONAI's that takes values of shape (B, C, n) and classes of shape (B, 1, n).
    unknown : int
        What label maps call a voxel that is not known.
    """

    def __init__(self, loss: torch.nn.Module, unknown: int) -> None:
        super().__init__()
        self.loss, self.unknown = loss, unknown

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """0 when nothing is known.

        Parameters
        ----------
        logits : Tensor, shape (B, C, ...)
        target : Tensor, shape (B, 1, ...)
        """
        known = (target != self.unknown)[:, 0]
        if not known.any():
            return logits.sum() * 0.0
        values = logits.movedim(1, -1)[known].T[None]
        return torch.as_tensor(self.loss(values, target[:, 0][known][None, None]))


class Dissimilarity(torch.nn.Module):  # type: ignore[misc]
    """1 - SSIM (Wang et al., IEEE TIP 2004) with a little L1, without which flat regions may drift.

    Parameters
    ----------
    spatial_dims : int
        2 or 3.
    """

    def __init__(self, spatial_dims: int) -> None:
        super().__init__()
        self.ssim = SSIMLoss(spatial_dims, win_size=7)

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        """Mean over the batch of images in which 1 is the full range, shape (B, C, ...)."""
        return torch.as_tensor(self.ssim(pred, target) + 0.1 * functional.l1_loss(pred, target))
