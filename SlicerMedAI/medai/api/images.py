"""What a person may give as an image or a region, and how it becomes a job's input."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from medai.errors import InputError
from medai.volume import Region, Series, Volume

Image = Any
"""A path, a `Volume`, a `Series`, a MRML node (scalar or vector volume, sequence, sequence browser), or a list of these
for a model with several input images."""
OffScene = str | os.PathLike[str] | Volume | Series
"""An `Image` that is no node."""


def is_node(thing: object) -> bool:
    """Whether something is a node of a MRML scene; told without importing slicer or vtk."""
    return callable(getattr(thing, "GetClassName", None)) and callable(getattr(thing, "IsA", None))


def nodes_of(image: Image) -> list[Any]:
    """Those of the images given that are nodes of a scene."""
    return [item for item in _listed(image) if is_node(item)]


def _listed(image: Image) -> list[Any]:
    return list(image) if isinstance(image, (list, tuple)) else [image]


def inputs_of(image: Image, series: str | int | None) -> tuple[Volume, ...] | Series:
    """A job's input, read from wherever it is.

    Parameters
    ----------
    image : Image
    series : str or int or None
        Of a path to a DICOM folder with several series, the one meant.

    Raises
    ------
    InputError
        When it is no image, or the images do not go together.
    """
    read = [_read(item, series) for item in _listed(image)]
    if len(read) == 1 and isinstance(read[0], Series):
        return read[0]
    if not read or any(isinstance(item, Series) for item in read):
        raise InputError(
            "These images cannot be used together.",
            "A sequence stands among them, and only single images can be combined." if read else "There are none.",
            "Choose one image per input of the model, or one sequence.",
        )
    return tuple(item for item in read if isinstance(item, Volume))


def _read(item: Any, series: str | int | None) -> Volume | Series:
    if isinstance(item, (str, os.PathLike)):
        from medai import files

        return files.read(Path(item).expanduser(), series)
    if series is not None:
        raise InputError(
            "There is no series to choose from.",
            "Only DICOM folders hold several series, and the image is not the path of one.",
            "Leave 'series' out.",
        )
    if isinstance(item, (Volume, Series)):
        return item
    if is_node(item):
        from medai import mrml

        if item.IsA("vtkMRMLSequenceNode") or item.IsA("vtkMRMLSequenceBrowserNode"):
            return mrml.series_from_node(item)
        if item.IsA("vtkMRMLVolumeNode"):
            return mrml.volume_from_node(item)
        raise InputError(
            f"'{item.GetName()}' is not an image.",
            f"It is of another kind ({item.GetClassName()}).",
            "Choose a volume or a sequence of volumes.",
        )
    raise InputError(
        "There is no image." if item is None else f"'{type(item).__name__}' is no kind of image.",
        "A path, a medai.Volume, a medai.Series or a MRML node is needed.",
        "For a bare array, make a medai.Volume with its index-to-RAS affine first.",
    )


def regions_of(region: Any) -> Region | tuple[Region, ...] | Literal["auto"]:
    """A job's region or regions, each given as a `Region` or a markups ROI node.

    Raises
    ------
    InputError
        When it is neither.
    """
    if isinstance(region, str) and region == "auto":
        return "auto"
    if isinstance(region, (list, tuple)):
        return tuple(_region(one) for one in region)
    return _region(region)


def _region(region: Any) -> Region:
    if isinstance(region, Region):
        return region
    if is_node(region) and region.IsA("vtkMRMLMarkupsROINode"):
        from medai import mrml

        return mrml.region_from_node(region)
    raise InputError(
        "The region cannot be used.",
        "It is neither a medai.Region, nor a markups ROI node, nor 'auto'.",
        "Draw a ROI (in Slicer: Markups module), or make a medai.Region from its centre and size in mm.",
    )
