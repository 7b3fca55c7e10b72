"""What a person may give as visits, and how they become a `Series` in the order of their dates."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from medai.api.images import Image, inputs_of
from medai.errors import InputError
from medai.visits import Day, date_in, in_order
from medai.volume import Series, Volume


def visits_of(image: Image, *, dates: Sequence[Day | None] | None = None, series: str | None = None) -> Series:
    """Visits from wherever they are.

    Parameters
    ----------
    image : path, Series, MRML node, or sequence of paths, Volumes and volume nodes
        A folder of dated studies (see `medai.files.visits.read_visits`), a sequence or sequence browser node, a
        `Series`, or one image per visit: files, DICOM folders, Volumes, volume nodes.
    dates : sequence of date, str or None
        Typed in, one per visit, in the order given (of a folder, of the visits' names). Without, DICOM headers, node
        attributes, an index in days to years, and names tell: see `medai.visits.in_order`.
    series : str, optional
        Description of the series that is meant in folders that hold several.

    Raises
    ------
    InputError
        When these are no visits: fewer than two, two of the same day, one without a date, several frames in one.
    ReadError
        When an image cannot be read.
    """
    typed = tuple(dates or ())
    if isinstance(image, (str, os.PathLike)) and (folder := Path(image).expanduser()).is_dir():
        from medai.files.visits import read_visits

        return read_visits(folder, series=series, dates=typed)
    if isinstance(image, (list, tuple)):
        frames = tuple(_visit(one, series) for one in image)
        if not frames:
            raise InputError("There are no visits.", "No image was given.", "Choose one image per visit.")
        return in_order(Series(frames, name=frames[-1].name, id=frames[-1].id), typed)
    found = inputs_of(image, series)
    return in_order(found if isinstance(found, Series) else Series(found, name=found[0].name), typed)


def _visit(image: Image, series: str | None) -> Volume:
    is_folder = isinstance(image, (str, os.PathLike)) and Path(image).expanduser().is_dir()
    found = inputs_of(image, series if is_folder else None)
    if isinstance(found, Series) or len(found) != 1:
        raise InputError(
            "A visit holds several images.",
            "Every visit is one single image, not a sequence or a list.",
            "Choose one image per visit.",
        )
    return dated(found[0], image)


def dated(volume: Volume, image: Image) -> Volume:
    """With the day that its path tells, where its header does not: by the image's own name, else by its folder's."""
    if volume.date is not None or not isinstance(image, (str, os.PathLike)):
        return volume
    path = Path(image).expanduser().absolute()
    return replace(volume, date=date_in(path.name) or date_in(path.parent.name))
