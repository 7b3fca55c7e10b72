"""Boxes as Slicer's markups: one file of ROIs that Slicer opens by itself.

The format is that of Slicer's markups schema 1.0.3 (``markups-schema-v1.0.3.json``).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from medai.result import Boxes, Provenance
from medai.volume import Region

_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
    "markups-schema-v1.0.3.json#"
)


def write_markups(target: Path, boxes: Boxes, provenance: Provenance | None) -> None:
    """One ROI per box, named after its class and score, in LPS as Slicer itself writes them.

    Where a result came from has no place in the schema, so it stands beside the markups under ``"medai"``.
    """
    described = zip(boxes.regions, boxes.scores, boxes.classes, strict=True)
    content = {
        "@schema": _SCHEMA,
        "markups": [_roi(*box) for box in described],
        "medai": {"name": boxes.name, "provenance": provenance.attributes() if provenance else {}},
    }
    target.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _roi(region: Region, score: float, name: str) -> dict[str, object]:
    to_lps = np.diag([-1.0, -1.0, 1.0])
    axes = to_lps @ region.axes
    if np.linalg.det(axes) < 0:  # the box is the same from either side, a left-handed frame is not allowed
        axes = axes @ np.diag([1.0, 1.0, -1.0])
    center = (to_lps @ region.center).tolist()
    return {
        "type": "ROI",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": True,
        "name": f"{name} {score:.0%}",
        "description": f"{name}, confidence {score:.3f}",
        "roiType": "Box",
        "center": center,
        "orientation": axes.ravel().tolist(),
        "size": region.size.tolist(),
        "insideOut": False,
        "controlPoints": [{"id": "1", "label": name, "position": center, "positionStatus": "defined"}],
    }
