"""Nodes of a MRML scene to medai's images and back. The only room that knows Slicer and VTK; never torch.

Names are loaded when first used, so that `medai.mrml.system` can say what is missing before VTK fails to load.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medai.mrml.files import save_scene, save_segmentation
    from medai.mrml.live_plot import LivePlot
    from medai.mrml.pictures import render_scene
    from medai.mrml.regions import region_from_node
    from medai.mrml.results import ResultNodes, add_result, check_scene
    from medai.mrml.scene import create_scene
    from medai.mrml.segmentations import show_closed_surface
    from medai.mrml.sequences import series_from_node
    from medai.mrml.surfaces import SurfaceMaking
    from medai.mrml.system import missing_system_libraries
    from medai.mrml.tables import rows_from_node
    from medai.mrml.volumes import volume_from_node

_PLACES = {
    "LivePlot": "live_plot",
    "ResultNodes": "results",
    "SurfaceMaking": "surfaces",
    "add_result": "results",
    "check_scene": "results",
    "create_scene": "scene",
    "missing_system_libraries": "system",
    "region_from_node": "regions",
    "render_scene": "pictures",
    "rows_from_node": "tables",
    "save_scene": "files",
    "save_segmentation": "files",
    "series_from_node": "sequences",
    "show_closed_surface": "segmentations",
    "volume_from_node": "volumes",
}

__all__ = [
    "LivePlot",
    "ResultNodes",
    "SurfaceMaking",
    "add_result",
    "check_scene",
    "create_scene",
    "missing_system_libraries",
    "region_from_node",
    "render_scene",
    "rows_from_node",
    "save_scene",
    "save_segmentation",
    "series_from_node",
    "show_closed_surface",
    "volume_from_node",
]


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
