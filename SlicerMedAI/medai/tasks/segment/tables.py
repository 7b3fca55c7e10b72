"""Voxels and millilitres of what was found."""

from __future__ import annotations

from collections.abc import Sequence

from medai.result import Labelmap, Table
from medai.volume import Series


def volumes(labelmap: Labelmap) -> Table:
    """Voxels and millilitres of every segment."""
    voxels = labelmap.voxel_counts()
    columns = {
        "Segment": tuple(segment.name for segment in labelmap.segments),
        "Voxels": voxels,
        "Volume (mL)": tuple(round(count * labelmap.voxel_volume_ml, 9) for count in voxels),
    }
    return Table(columns, "volumes")


def volumes_over_frames(series: Series, labelmaps: Sequence[Labelmap]) -> Table:
    """One row per frame, one column of millilitres per segment."""
    rows = [labelmap.volumes_ml() for labelmap in labelmaps]
    names = list(dict.fromkeys(name for row in rows for name in row))
    title = f"Frame ({series.unit})" if series.unit else "Frame"
    columns: dict[str, tuple[object, ...]] = {title: series.index}
    columns |= {f"{name} (mL)": tuple(row.get(name, 0.0) for row in rows) for name in names}
    return Table(columns, "volumes")
