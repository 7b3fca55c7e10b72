"""Labels into the scene."""

from __future__ import annotations

import numpy as np

from benchmarks.timing import Row, seconds
from medai.mrml import add_result, create_scene
from medai.result import Labelmap, Provenance, Result, Segment
from medai.volume import Volume


def hundred_segments() -> Row:
    """100 segments of 384x384x200 into a segmentation node."""
    array = np.random.default_rng(0).integers(0, 101, (200, 384, 384), dtype=np.uint8)
    segments = tuple(Segment(f"Structure {n}", n) for n in range(1, 101))
    labelmap = Labelmap(array, np.eye(4), segments)
    provenance = Provenance("segment", "benchmark")
    scene = create_scene()
    node = add_result(Result((Volume(array, np.eye(4), "image"),), provenance), (), scene=scene).volumes[0]
    result = Result((labelmap,), provenance)
    duration = seconds(lambda: add_result(result, node, scene=scene))
    return Row(
        "100 segments of 384x384x200 into a segmentation node", f"{duration * 1000:.1f} ms", "< 20 ms", duration < 0.020
    )
