"""Labels into the scene."""

from __future__ import annotations

import statistics
import time

import numpy as np

from benchmarks.timing import Row
from medai.mrml import add_result, create_scene
from medai.mrml.segmentations import drop_segments
from medai.result import Labelmap, Provenance, Result, Segment
from medai.volume import Volume


def hundred_segments(shape: tuple[int, int, int] = (200, 384, 384), repeats: int = 5) -> Row:
    """100 segments into a segmentation node."""
    array = np.random.default_rng(0).integers(0, 101, shape, dtype=np.uint8)
    segments = tuple(Segment(f"Structure {n}", n) for n in range(1, 101))
    labelmap = Labelmap(array, np.eye(4), segments)
    provenance = Provenance("segment", "benchmark")
    scene = create_scene()
    node = add_result(Result((Volume(array, np.eye(4), "image"),), provenance), (), scene=scene).volumes[0]
    result = Result((labelmap,), provenance)
    durations = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        nodes = add_result(result, node, scene=scene)
        durations.append(time.perf_counter() - began)
        # Destroying a hundred segments of one layer costs Slicer's core a pass over the voxels for each.
        drop_segments(nodes.segmentation)
    duration = statistics.median(durations[1:])
    size = "x".join(map(str, shape[::-1]))
    return Row(
        f"100 segments of {size} into a segmentation node", f"{duration * 1000:.1f} ms", "< 20 ms", duration < 0.020
    )
