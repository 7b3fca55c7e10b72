"""What was found, and where, as numbers."""

from __future__ import annotations

from collections.abc import Sequence

from medai.result import Boxes, Table
from medai.volume import Series

_TITLES = ("Class", "Score", "R (mm)", "A (mm)", "S (mm)", "Size 1 (mm)", "Size 2 (mm)", "Size 3 (mm)")


def findings(boxes: Boxes) -> Table:
    """One row per box: its class and score, its centre, and its edges along the image's columns, rows and slices."""
    return Table(_columns(_rows(boxes)), "findings")


def findings_over_frames(series: Series, found: Sequence[Boxes]) -> Table:
    """The same for all frames, with the frame in the first column."""
    title = f"Frame ({series.unit})" if series.unit else "Frame"
    rows = [(at, *row) for at, boxes in zip(series.index, found, strict=True) for row in _rows(boxes)]
    return Table(_columns(rows, (title, *_TITLES)), "findings")


def _rows(boxes: Boxes) -> list[tuple[object, ...]]:
    described = zip(boxes.classes, boxes.scores, boxes.regions, strict=True)
    return [
        (name, round(score, 6), *(round(float(mm), 3) for mm in (*region.center, *region.size)))
        for name, score, region in described
    ]


def _columns(rows: Sequence[tuple[object, ...]], titles: tuple[str, ...] = _TITLES) -> dict[str, tuple[object, ...]]:
    return {title: tuple(row[n] for row in rows) for n, title in enumerate(titles)}
