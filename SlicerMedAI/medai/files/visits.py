"""A folder with a patient's visits, as archives export it and as researchers keep it, into a `Series`."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from medai.errors import InputError, ReadError
from medai.files import formats
from medai.files.reading import read
from medai.visits import Day, date_in, in_order
from medai.volume import Series, Volume

# What tells visits apart and not images: "ses-01_T1w" and "ses-02_T1w" are the same kind of image.
_COUNTED = re.compile(r"(?<![a-z])(?:visit|ses|session|study|scan|timepoint|time|tp|v)[-_ ]?\d+(?![a-z0-9])")
_DATE = re.compile(r"\d{4}[-_.]?\d\d[-_.]?\d\d")


@dataclass(frozen=True)
class Candidate:
    """One image that a visit has to offer.

    Parameters
    ----------
    visit : str
        Images of the same visit have the same text here: a study, a day, or a folder.
    path : Path
        The file, or the DICOM folder.
    uid : str or None
        SeriesInstanceUID within a DICOM folder.
    title : str
        What a person calls it.
    modality : str
        DICOM modality, when it is known.
    day : datetime.date or None
        Of acquisition.
    """

    visit: str
    path: Path
    uid: str | None
    title: str
    modality: str
    day: date | None

    @property
    def kind(self) -> tuple[str, str]:
        """The same for the same kind of image at every visit: words of its title, and the modality."""
        return _words(self.title), self.modality

    def __str__(self) -> str:
        return f"{self.title or 'no description'}{f' ({self.modality})' if self.modality else ''}"


def read_visits(folder: Path, *, series: str | None = None, dates: Sequence[Day | None] = ()) -> Series:
    """Read one image of every visit that lies in a folder.

    A DICOM study is a visit; so are all NIfTI, NRRD, MetaImage and picture files whose names, or whose folders' names,
    hold the same date, or that lie in the same sub-folder where nothing holds a date.

    Parameters
    ----------
    folder : Path
        Searched with its sub-folders.
    series : str, optional
        Description (or a part of it, or of the file's name) of the image that is meant. Needed when the visits have
        more than one kind of image in common.
    dates : sequence of date, str or None
        Typed in, one per visit, in the order of the visits' names.

    Returns
    -------
    Series
        In the order of the dates: see `medai.visits.in_order`. Visits may have grids of their own.

    Raises
    ------
    InputError
        When there are fewer than two visits, it is not clear which image is meant, or dates are missing or the same.
    ReadError
        When there is no image, or one cannot be read.
    """
    visits: dict[str, list[Candidate]] = {}
    for candidate in sorted([*_dicom(folder), *_files(folder)], key=lambda one: str(one.path)):
        visits.setdefault(candidate.visit, []).append(candidate)
    if not visits:
        raise ReadError(
            f"'{folder.name}' holds no image.",
            "There is neither a DICOM image nor another image file in it or in its sub-folders.",
            "Choose the folder that holds one sub-folder or one file for every visit.",
        )
    chosen = _chosen(folder, list(visits.values()), series)
    return in_order(Series(tuple(_frame(one) for one in chosen), name=folder.name, id=str(folder)), dates)


def _dicom(folder: Path) -> list[Candidate]:
    from medai.dicom import list_series

    found = []
    for series in list_series(folder):
        where = Path(os.path.commonpath(series.files))
        day = series.date or _day_of(where, folder)
        visit = series.study or str(day or _branch(where, folder))
        found.append(Candidate(visit, where, series.uid, series.description, series.modality, day))
    return found


def _files(folder: Path) -> list[Candidate]:
    found = []
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(where) / name
            if not name.startswith(".") and formats.suffix(path) in formats.READABLE:
                day = _day_of(path, folder)
                found.append(Candidate(str(day or _branch(path, folder)), path, None, formats.stem(path), "", day))
    return found


def _day_of(path: Path, folder: Path) -> date | None:
    """From the name nearest to the image that holds a date."""
    inside = [path, *path.parents][: len(path.relative_to(folder).parts)]
    return next((day for part in inside if (day := date_in(part.name))), None)


def _branch(path: Path, folder: Path) -> str:
    return path.relative_to(folder).parts[0] if path != folder else ""


def _chosen(folder: Path, visits: list[list[Candidate]], series: str | None) -> list[Candidate]:
    """One image of every visit."""
    if series is not None:
        return [_wanted(visit, series) for visit in visits]
    kinds = [Counter(one.kind for one in visit) for visit in visits]
    common = [kind for kind, count in kinds[0].items() if count == 1 and all(other[kind] == 1 for other in kinds)]
    if all(len(visit) == 1 for visit in visits):
        modalities = {visit[0].modality for visit in visits} - {""}
        if len(modalities) > 1:
            raise InputError(
                f"The visits in '{folder.name}' cannot be compared.",
                f"They are images of different kinds: {', '.join(sorted(modalities))}.",
                "Choose images of one kind for all visits.",
            )
        return [visit[0] for visit in visits]
    if len(common) == 1:
        return [next(one for one in visit if one.kind == common[0]) for visit in visits]
    listing = "\n".join(f"  {_title(visit)}: {', '.join(map(str, visit))}" for visit in visits)
    raise InputError(
        f"It is not clear which images of '{folder.name}' are meant.",
        f"Its visits have {len(common) or 'no'} kinds of image in common.",
        f"Choose one by its description (series='...', --series on the command line):\n{listing}",
    )


def _wanted(visit: list[Candidate], series: str) -> Candidate:
    words = _words(series)
    named = [one for one in visit if one.uid == series or _words(one.title) == words]
    found = named or [one for one in visit if words and words in _words(one.title)]
    if len(found) == 1:
        return found[0]
    raise InputError(
        f"The visit {_title(visit)} has {'several images' if found else 'no image'} '{series}'.",
        f"Its images are: {', '.join(map(str, visit))}.",
        "Write more of the description, or leave the visit out.",
    )


def _title(visit: list[Candidate]) -> str:
    return str(visit[0].day or visit[0].path.name)


def _words(title: str) -> str:
    """A title without what differs between visits and between ways of writing."""
    plain = _COUNTED.sub(" ", _DATE.sub(" ", title.lower()).replace("_", " "))
    return " ".join(re.findall(r"[^\W_]+", plain))


def _frame(candidate: Candidate) -> Volume:
    image = read(candidate.path, candidate.uid)
    if isinstance(image, Series):
        raise InputError(
            f"'{image.name}' of the visit {_title([candidate])} is a series in time itself.",
            f"It holds {len(image.frames)} images of one day.",
            "Choose a single image for every visit.",
        )
    return replace(image, date=image.date or candidate.day)
