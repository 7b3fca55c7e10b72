"""A RetinaNet in training (Lin et al., ICCV 2017), on MONAI's detector; what it finds in use is MONAI's own affair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.apps.detection.networks.retinanet_detector import RetinaNetDetector
from monai.losses.giou_loss import BoxGIoULoss
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from medai.training.components.distributed import mean, world
from medai.training.components.names import BOX, LABEL

Targets = list[dict[str, Tensor]]
_FOCUS = 2.0


class TrainedDetector(RetinaNetDetector):  # type: ignore[misc]
    """MONAI's detector with its losses: generalised IoU for boxes (Rezatofighi et al., CVPR 2019), and one for classes.

    Anchors are matched by ATSS (Zhang et al., CVPR 2020). MONAI's class asks torchvision for the other way to match
    them, also when that is not used; here torchvision is not needed.

    Parameters
    ----------
    network : torch.nn.Module
        A RetinaNet of MONAI's.
    anchor_generator : AnchorGenerator
    candidates : int
        Of ATSS: per box and anchor shape, the nearest places that are looked at.
    loss : str
        ``"focal"``: quality focal loss of all anchors (Li et al., NeurIPS 2020), for which the truth of an anchor that
        matches is how well its own guess overlaps the box, so that of several guesses the best scores highest. Or
        ``"cross_entropy"``: of the anchors that match, and as many that the network found hardest to tell from them
        (MONAI's hard negative sampler).
    box_weight : float
        Of the loss of boxes, against that of classes.
    bf16 : bool
        Whether the network computes in bfloat16 on a processor; matching and losses never do.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        anchor_generator: Any,
        *,
        candidates: int = 4,
        loss: str = "focal",
        box_weight: float = 3.0,
        bf16: bool = False,
    ) -> None:
        super().__init__(network, anchor_generator)
        self.set_target_keys(BOX, LABEL)
        self.set_atss_matcher(num_candidates=candidates)
        self.set_box_regression_loss(BoxGIoULoss(reduction="mean"), encode_gt=False, decode_pred=True)
        self.focal = loss == "focal"
        if not self.focal:
            self.set_hard_negative_sampler(batch_size_per_image=64, positive_fraction=0.5, min_neg=16, pool_size=20)
        self.box_weight, self.bf16 = box_weight, bf16

    def forward(
        self, input_images: list[Tensor] | Tensor, targets: Targets | None = None, use_inferer: bool = False
    ) -> dict[str, Tensor] | Targets:
        """Losses by name in training; boxes of every image otherwise, see MONAI's class."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            return super().forward(input_images, targets, use_inferer)  # type: ignore[no-any-return]

    def compute_loss(
        self,
        head_outputs_reshape: dict[str, Tensor],
        targets: Targets,
        anchors: list[Tensor],
        num_anchor_locs_per_level: Sequence[int],
    ) -> dict[str, Tensor]:
        """Called by MONAI's ``forward``."""
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            found = {key: value.float() for key, value in head_outputs_reshape.items()}
            whole = [each.float() for each in anchors]
            matched = self.compute_anchor_matched_idxs(whole, targets, num_anchor_locs_per_level)
            logits, guesses = found[self.cls_key], found[self.box_reg_key]
            if self.focal:
                of_classes = self._quality_focal_loss(logits, guesses, targets, whole, matched)
            else:
                of_classes = self.compute_cls_loss(logits, targets, matched)
            of_boxes = self.compute_box_loss(guesses, targets, whole, matched)
        return {self.cls_key: of_classes, self.box_reg_key: self.box_weight * of_boxes}

    def _quality_focal_loss(
        self, logits: Tensor, guesses: Tensor, targets: Targets, anchors: list[Tensor], matched: list[Tensor]
    ) -> Tensor:
        truth = torch.zeros_like(logits)
        for number, (target, match) in enumerate(zip(targets, matched, strict=True)):
            places = (match >= 0).nonzero().flatten()
            if len(places):
                boxes = target[BOX][match[places]].to(logits)
                own = self.box_coder.decode_single(guesses[number, places].detach(), anchors[number][places])
                truth[number, places, target[LABEL][match[places]]] = _overlaps(own, boxes)
        away = (logits.sigmoid() - truth).abs()
        each = binary_cross_entropy_with_logits(logits, truth, reduction="none") * away**_FOCUS
        # Of several processes, whose gradients are averaged, each divides by the mean of their numbers of matches.
        return each.sum() / max(mean(_matches(matched)), 1 / world())

    def compute_anchor_matched_idxs(
        self, anchors: list[Tensor], targets: Targets, num_anchor_locs_per_level: Sequence[int]
    ) -> list[Tensor]:
        """For every anchor of every image, the number of its box; negative for the background."""
        counts, places = num_anchor_locs_per_level, self.num_anchors_per_loc
        return [
            self.proposal_matcher(target[BOX].to(each), each, counts, places)[1].to(each.device)
            for each, target in zip(anchors, targets, strict=True)
        ]

    def compute_box_loss(
        self, box_regression: Tensor, targets: Targets, anchors: list[Tensor], matched_idxs: list[Tensor]
    ) -> Tensor:
        """Loss of the corners of all anchors that match a box."""
        own = _matches(matched_idxs)
        of_all = mean(own)
        if not own:
            return box_regression.sum() * 0  # MONAI's zero has no gradient, of which several processes wait for each
        loss: Tensor = super().compute_box_loss(box_regression, targets, anchors, matched_idxs)
        return loss * (own / of_all)


def _matches(matched: list[Tensor]) -> int:
    """Anchors of all images that match a box."""
    return sum(int((each >= 0).sum()) for each in matched)


def _overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of every box with the one beside it, shape (N,)."""
    low, high = (torch.stack(pair) for pair in zip(boxes.chunk(2, 1), others.chunk(2, 1), strict=True))
    volumes = (high - low).clamp(min=0).prod(dim=2)
    shared = (high.amin(dim=0) - low.amax(dim=0)).clamp(min=0).prod(dim=1)
    return shared / (volumes.sum(dim=0) - shared).clamp(min=torch.finfo(shared.dtype).eps)


class SumOfLosses(torch.nn.Module):  # type: ignore[misc]
    """What MONAI's trainer minimises of a detector that computes its losses itself."""

    def forward(self, losses: Mapping[str, Tensor], _: object) -> Tensor:
        """Sum of all of them."""
        return torch.stack([loss.float() for loss in losses.values()]).sum()


class Prepare:
    """A batch of a detector for MONAI's engines: images of different sizes, each with its boxes.

    Parameters
    ----------
    training : bool
        Whether the detector is given the boxes too, to compute its losses.
    windows : bool
        Whether it goes over each image in windows.
    """

    def __init__(self, *, training: bool, windows: bool = False) -> None:
        self.training, self.windows = training, windows

    def __call__(
        self, batch: Sequence[Mapping[str, Tensor]], device: Any = None, non_blocking: bool = False, **to: Any
    ) -> tuple[list[Tensor], Targets, tuple[Targets, ...], dict[str, bool]]:
        """Images, boxes with labels, and what the detector's ``forward`` takes besides."""
        # Of each case, a transform that cuts patches out gives a list.
        cases = [case for found in batch for case in (found if isinstance(found, list) else [found])]
        images = [torch.as_tensor(case["image"]).to(device, non_blocking=non_blocking, **to) for case in cases]
        targets = [{key: case[key].to(device) for key in (BOX, LABEL)} for case in cases]
        if self.training:
            return images, targets, (targets,), {}
        return images, targets, (), {"use_inferer": self.windows}
