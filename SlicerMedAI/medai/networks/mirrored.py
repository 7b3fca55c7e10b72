"""A detector's network that looks at every image in a mirror as well (test-time augmentation)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from medai.engine.mirrors import mirrors

Maps = dict[str, list[Tensor]]
"""What MONAI's RetinaNet gives: under each name a map per level of its pyramid, (B, channels, *spatial)."""


class MirroredRetinaNet(torch.nn.Module):  # type: ignore[misc]  # torch is not type-checked
    """The mean of what a RetinaNet says of an image and of its mirror images, each led back to where it belongs.

    Of anchors, not of boxes: what one view is sure of and another is not gets a score between the two, and one box.

    Parameters
    ----------
    network : torch.nn.Module
        MONAI's RetinaNet, or one that gives the same.
    axes : sequence of int
        Spatial axes to mirror along, 0 for the first behind batch and channel; all their combinations are looked at.
    anchors : sequence of sequences of float, shape (A, spatial_dims)
        Edges of the anchors at a place, in voxels. Anchors have whole numbers at corners of voxels and boxes at their
        centres, so a mirror moves the one against the other by a voxel.
    """

    def __init__(self, network: torch.nn.Module, axes: Sequence[int], anchors: Sequence[Sequence[float]]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("voxel", 1 / torch.tensor(anchors, dtype=torch.float32), persistent=False)
        self.views = mirrors(sorted(axes))
        # MONAI's RetinaNetDetector asks its network for these.
        self.spatial_dims, self.num_classes = network.spatial_dims, network.num_classes
        self.num_anchors, self.size_divisible = network.num_anchors, network.size_divisible
        self.cls_key, self.box_reg_key = network.cls_key, network.box_reg_key

    def forward(self, images: Tensor) -> Maps:
        """The mean maps.

        Parameters
        ----------
        images : Tensor, shape (B, C, *spatial)
            Of sizes that every level of the pyramid divides, so that anchors lie where they lie in the mirror.
        """
        seen = [self._seen(images, view) for view in self.views]
        return {
            name: [torch.stack(level).mean(0) for level in zip(*(maps[name] for maps in seen), strict=True)]
            for name in (self.cls_key, self.box_reg_key)
        }

    def _seen(self, images: Tensor, view: tuple[int, ...]) -> Maps:
        dims = [axis + 2 for axis in view]
        maps = self.network(images.flip(dims))
        back = {name: [level.flip(dims) for level in maps[name]] for name in (self.cls_key, self.box_reg_key)}
        for level in back[self.box_reg_key]:
            # Per anchor: how far its centre moves along each axis, in shares of its edges; then how its edges grow.
            moves = level.unflatten(1, (-1, 2 * self.spatial_dims))
            for axis in view:
                voxel = self.voxel[:, axis].reshape(-1, *[1] * self.spatial_dims)
                moves[:, :, axis] = -moves[:, :, axis] - voxel
        return back
