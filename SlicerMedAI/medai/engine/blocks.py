"""Which part of what a network sees has to be computed for a part of the image."""

from __future__ import annotations

import numpy as np

from medai.bundles.pipeline import Data
from medai.engine.ladder import Ladder
from medai.volume import Affine, Volume, apply_affine, corners


def box_around(ladder: Ladder, batch: Data, part: Volume) -> tuple[slice, ...] | None:
    """Where a part of the image is in the network's input, with half a window around it; None for networks that take
    images whole."""
    roi = getattr(ladder.inferer, "roi_size", None)
    seen = batch[ladder.pipeline.image_key(batch)]
    size = np.array(seen.shape[2:])
    if roi is None or len(size) != 3:
        return None
    affine: Affine = np.asarray(seen.affine.cpu().squeeze(0), dtype=np.float64)
    ijk = apply_affine(np.linalg.inv(affine).astype(np.float64), corners(part.affine, part.shape))
    window = np.broadcast_to(np.asarray(roi), 3)
    # A window that takes an axis whole has to go on doing so.
    around = np.where(window > 0, -(-window // 2), size)
    low = np.clip(np.floor(ijk.min(axis=0)) - around, 0, size - 1).astype(int)
    high = np.clip(np.ceil(ijk.max(axis=0)) + 1 + around, low + 1, size).astype(int)
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
