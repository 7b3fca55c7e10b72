"""A forecaster at work on one subject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from medai.bundles import configs, integrity, quantized
from medai.bundles.explained import explained, unusable
from medai.bundles.parts import parts_of
from medai.errors import BundleError
from medai.tasks.forecast.course import Course
from medai.tasks.forecast.logistic import quantile

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Forecast:
    """What a model says of one subject.

    Parameters
    ----------
    days : ndarray, shape (H,)
        At which it was asked, as the course counts them.
    location, scale : ndarray, shape (H, P)
        Of a logistic distribution of each target, in the target's unit.
    probabilities : ndarray, shape (K,)
        Of the classes; empty for a model without.
    """

    days: Floats
    location: Floats
    scale: Floats
    probabilities: Floats

    def bounds(self, confidence: float) -> tuple[Floats, Floats]:
        """Lowest and highest value, each (H, P), between which the value lies with this probability."""
        tail = (1 - confidence) / 2
        return quantile(self.location, self.scale, tail), quantile(self.location, self.scale, 1 - tail)


class ForecastModel:
    """A loaded bundle.

    Parameters
    ----------
    root : Path
        Its folder.
    device : str
        A PyTorch device that exists on this computer.

    Attributes
    ----------
    measurements, targets, classes : tuple of str
        What the network is told of, what it forecasts, and which classes of subjects it tells apart.
    images : bool
        Whether it sees the visits' images.
    learned : tuple of (float, float)
        Mean and spread of each measurement in what it learned from; empty where the network does not tell.
    notes : tuple of str
        What a person should know of how it is computed.

    Raises
    ------
    BundleError
        When it cannot be used; see `medai.bundles.parts.parts_of`.
    """

    def __init__(self, root: Path, device: str) -> None:
        integrity.check_pins(root)
        parts = parts_of(root, device)
        own = configs.metadata(root).get("medai")
        told = own if isinstance(own, dict) else {}
        self.root, self.device = root, device
        self.network, self.preprocessing, self._prepare = parts.network, parts.preprocessing, parts.prepare_batch
        self.measurements, self.targets, self.classes = (
            _titles(told.get(key)) for key in ("measurements", "targets", "classes")
        )
        self.notes = quantized.attach(parts.network, root, device)
        self.images = bool(told.get("images"))
        means, spreads = (getattr(self.network, name, None) for name in ("means", "spreads"))
        self.learned: tuple[tuple[float, float], ...] = ()
        if isinstance(means, torch.Tensor) and isinstance(spreads, torch.Tensor):
            self.learned = tuple(zip(means.flatten().tolist(), spreads.flatten().tolist(), strict=False))
        if self.preprocessing is None or not self.targets or not set(self.targets) <= set(self.measurements):
            raise unusable(root.name, "Its metadata do not say what it forecasts of which measurements")

    def forecast(self, course: Course, days: Sequence[float]) -> Forecast:
        """What will be measured at some days, as the course counts them; it takes images from the course.

        Raises
        ------
        InputError
            When an image cannot be used.
        BundleError
            When the model does not give what its metadata promise.
        """
        with explained("The model could not process the visits.", self.root.name, self.device):
            sample = self.preprocessing({"visits": course, "at": list(days)})  # type: ignore[misc]
            batch = {key: value[None] for key, value in sample.items() if isinstance(value, torch.Tensor)}
            image, _, args, kwargs = self._prepare(batch, torch.device(self.device), False)
            with torch.inference_mode():
                found = self.network(image, *args, **kwargs)
        count, classes = len(self.targets), len(self.classes)
        if tuple(found.shape) != (1, len(days), 2 * count + classes) or not bool(torch.isfinite(found).all()):
            raise BundleError(
                f"The model '{self.root.name}' did not give a forecast.",
                "Its output has another form than its description says, or is no number.",
                "Choose another model.",
            )
        values = np.asarray(found[0].cpu().double())
        probabilities = torch.softmax(found[0, 0, 2 * count :].double(), 0) if classes else torch.zeros(0)
        return Forecast(
            np.asarray(days, dtype=np.float64),
            values[:, :count],
            values[:, count : 2 * count],
            np.asarray(probabilities.cpu(), dtype=np.float64),
        )


def _titles(given: object) -> tuple[str, ...]:
    return tuple(str(one) for one in given) if isinstance(given, list) else ()
