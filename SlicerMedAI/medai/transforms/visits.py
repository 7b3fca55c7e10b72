"""From one subject's visits to what a network of series takes."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import (
    Compose,
    MapTransform,
    NormalizeIntensity,
    Orientation,
    ResizeWithPadOrCrop,
    ScaleIntensityRangePercentiles,
    Spacing,
)

from medai.errors import InputError
from medai.files import read
from medai.tasks.forecast.course import YEAR, Course
from medai.volume import Volume

VALUES, TIMES, AT, FRAMES = "image", "times", "at", "frames"
"""Keys of what `StackVisitsd` makes. The first is what MONAI's engines hand to a network first."""


class LoadVisitsd(MapTransform):  # type: ignore[misc]
    """Reads the visits of a subject: times, measurements and prepared images.

    Parameters
    ----------
    keys : str
        Of a `medai.tasks.forecast.course.Course`, or of the path of a table with one subject's visits.
    measurements : sequence of str
        What was measured, in the order that the network takes.
    size : sequence of int, optional
        Voxels along R, A and S that every image is cut or padded to, about its centre; None for a network without
        images.
    spacing : sequence of float
        mm, that images are resampled to.
    horizon_days : float
        Days after the last visit at which to forecast, where ``"at"`` (a list of days) does not say.
    allow_missing_keys : bool

    Raises
    ------
    InputError
        When a table holds none or several subjects, or an image cannot be used.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        measurements: Sequence[str],
        size: Sequence[int] | None = None,
        spacing: Sequence[float] = (1.0, 1.0, 1.0),
        horizon_days: float = YEAR,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.measurements = tuple(measurements)
        self.horizon = float(horizon_days)
        self.prepare = None if size is None else _preparing(size, spacing)
        self.size = None if size is None else tuple(int(edge) for edge in size)
        self._frames: dict[Path, torch.Tensor] = {}

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The case with ``"times"`` and ``"at"`` in years since the first visit, ``"values"`` and a list of frames."""
        found = dict(data)
        for key in self.key_iterator(found):
            course = found.pop(key)
            if not isinstance(course, Course):
                found.setdefault("name", Path(str(course)).stem)
                course = _read(Path(str(course)))
            begin = float(course.days[0])
            asked = found.get(AT)
            days = [course.days[-1] + self.horizon] if asked is None else asked
            found["values"] = course.values(self.measurements)
            found[TIMES] = (course.days - begin) / YEAR
            found[AT] = (np.asarray(days, dtype=np.float64) - begin) / YEAR
            if self.prepare is not None:
                found[FRAMES] = [self._frame(one.image) for one in course.visits]
        return found

    def _frame(self, image: Volume | Path | None) -> torch.Tensor | None:
        if image is None:
            return None
        if isinstance(image, Volume):
            return self._prepared(image)
        # Several cases share the visits of a subject; a path is read once for all of them.
        if image not in self._frames:
            volume = read(image)
            if not isinstance(volume, Volume):
                raise InputError(
                    f"'{image.name}' is not one image.", "It holds several frames.", "Give one image for every visit."
                )
            self._frames[image] = self._prepared(volume)
        return self._frames[image]

    def _prepared(self, volume: Volume) -> torch.Tensor:
        assert self.prepare is not None
        array = np.asarray(volume.array, dtype=np.float32)
        if volume.channels != 1 or not np.isfinite(array).all() or array.min() == array.max():
            raise InputError(
                f"The image '{volume.name}' cannot be used.",
                "It shows one value everywhere, holds voxels that are no numbers, or has several channels.",
                "Choose an image of one channel for every visit, or leave this visit's image out.",
            )
        spatial = np.moveaxis(array.reshape(volume.shape), (0, 1, 2), (2, 1, 0))[np.newaxis]
        made = self.prepare(MetaTensor(torch.from_numpy(spatial.copy()), affine=torch.as_tensor(volume.affine.copy())))
        return torch.as_tensor(made.as_tensor(), dtype=torch.float32).contiguous()


class StackVisitsd(MapTransform):  # type: ignore[misc]
    """Makes one tensor of each part of a series.

    Parameters
    ----------
    keys : str
        ``"values"``, as `LoadVisitsd` leaves them.
    visits : int
        To how many visits all series are padded; 0 for none. What is padded is NaN.
    dates : int
        To how many dates forecasts are padded; 0 for none.
    size : sequence of int, optional
        Of frames, where the network takes images.
    allow_missing_keys : bool
    """

    def __init__(
        self,
        keys: KeysCollection = "values",
        *,
        visits: int = 0,
        dates: int = 0,
        size: Sequence[int] | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.visits, self.dates, self.size = int(visits), int(dates), size

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Tensors ``"image"`` (T, F) of values, ``"times"`` (T,), ``"at"`` (H,), ``"frames"`` (T, 1, ...), float32."""
        found = dict(data)
        values, times = np.asarray(found.pop("values")), np.asarray(found[TIMES])
        count = max(self.visits, len(times))
        found[VALUES] = _padded(values, count)
        found[TIMES] = _padded(times, count)
        found[AT] = _padded(np.asarray(found[AT]), max(self.dates, len(found[AT])))
        if "label" in found:
            found["label"] = _padded(np.asarray(found["label"]), len(found[AT]))
        if self.size is not None:
            frames = torch.full((count, 1, *self.size), math.nan)
            for place, frame in enumerate(found[FRAMES]):
                if frame is not None:
                    frames[place] = frame
            found[FRAMES] = frames
        return found


def _padded(array: Any, length: int) -> torch.Tensor:
    tensor = torch.as_tensor(np.asarray(array, dtype=np.float32))
    more = torch.full((length - len(tensor), *tensor.shape[1:]), math.nan)
    return torch.cat([tensor, more])


def _preparing(size: Sequence[int], spacing: Sequence[float]) -> Compose:
    return Compose(
        [
            Orientation(axcodes="RAS", labels=None),
            Spacing(pixdim=tuple(float(edge) for edge in spacing), mode="bilinear"),
            ResizeWithPadOrCrop(tuple(int(edge) for edge in size), mode="edge"),
            ScaleIntensityRangePercentiles(0.5, 99.5, -1, 1, clip=True),
            NormalizeIntensity(),
        ]
    )


def _read(path: Path) -> Course:
    from medai.training.data.courses import courses
    from medai.training.data.longitudinal import read_longitudinal

    found = courses(read_longitudinal(path))
    if len(found) != 1:
        raise InputError(
            f"'{path.name}' is not a series of one subject.",
            f"It has visits of {len(found)} subjects.",
            "Save the visits of each subject in a table of their own.",
        )
    return found[0]
