"""Boxes that a detection network found, in patient space.

Networks give the lower and the upper corner of a box in voxels of the image they saw (MONAI's standard mode). A
bundle's own postprocessing turns them into one convention or another (LPS or RAS, corners or centres) and, in an
oblique image, into boxes that no longer fit; so they are taken before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from monai.data.box_utils import clip_boxes_to_image
from monai.data.utils import to_affine_nd
from numpy.typing import NDArray

from medai.errors import BundleError
from medai.volume import Affine, Region


@dataclass(frozen=True, eq=False)
class Detections:
    """Boxes in one image, the most certain first.

    Parameters
    ----------
    corners : ndarray of float64, shape (N, 6)
        Lower, then upper corner (i, j, k) in voxels of the image the network saw.
    affine : ndarray, shape (4, 4)
        Of that image: (i, j, k, 1) to RAS mm.
    labels : ndarray of int64, shape (N,)
        Number of each box's class.
    scores : ndarray of float64, shape (N,)
        Confidence, 0 to 1.
    """

    corners: NDArray[np.float64]
    affine: Affine
    labels: NDArray[np.int64]
    scores: NDArray[np.float64]

    def regions(self) -> tuple[Region, ...]:
        """The boxes with edges along the image's axes, in RAS mm."""
        spacing = np.linalg.norm(self.affine[:3, :3], axis=0)
        axes = self.affine[:3, :3] / spacing
        lower, upper = self.corners[:, :3], self.corners[:, 3:]
        centers = (lower + upper) / 2 @ self.affine[:3, :3].T + self.affine[:3, 3]
        return tuple(Region(c, s, axes) for c, s in zip(centers, (upper - lower) * spacing, strict=True))


def detections_of(sample: Mapping[Any, Any], image_key: str = "image") -> Detections:
    """Boxes of one inferred sample.

    Parameters
    ----------
    sample : mapping
        From `Pipeline.infer`: the network's input under `image_key`, and boxes, labels and scores under ``"pred"``.
    image_key : str
        Key of the image.

    Raises
    ------
    BundleError
        When the network gave no boxes.
    """
    found = sample.get("pred")
    named = {kind: _named(found, kind) for kind in ("box", "score", "label")} if isinstance(found, Mapping) else {}
    if not named or any(part is None for part in named.values()):
        raise BundleError(
            "The model's result cannot be shown as boxes.",
            "It gives no boxes with a class and a score each.",
            "Use a model for detection.",
        )
    image = sample[image_key]
    size = list(image.shape[1:])
    boxes, keep = clip_boxes_to_image(named["box"].detach().cpu().float(), size, remove_empty=True)
    scores = named["score"].detach().cpu().double().numpy()[keep.numpy()]
    order = np.argsort(-scores, kind="stable")
    corners = boxes.double().numpy().reshape(-1, 2, len(size))
    if len(size) == 2:  # one slice thick
        corners = np.concatenate([corners, np.broadcast_to([[[-0.5], [0.5]]], (len(corners), 2, 1))], axis=2)
    affine = np.asarray(to_affine_nd(3, image.affine.detach().cpu().numpy()), dtype=np.float64)
    labels = named["label"].detach().cpu().numpy()[keep.numpy()].astype(np.int64)
    return Detections(corners.reshape(-1, 6)[order], affine, labels[order], scores[order])


def _named(found: Mapping[Any, Any], kind: str) -> Any:
    keys = [str(key) for key in found if kind in str(key) and (kind == "score" or "score" not in str(key))]
    return found[keys[0]] if keys else None
