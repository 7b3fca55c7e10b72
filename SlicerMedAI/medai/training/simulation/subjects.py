"""Who is simulated: how fast a subject's structure shrinks, when it is seen, and what differs from scan to scan."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from medai.errors import InputError
from medai.tasks.forecast.course import YEAR
from medai.training.simulation.atrophy import Shrinkage
from medai.volume import Volume

SLOW, FAST = "slow", "fast"
GROUPS = (SLOW, FAST)
_FIRST = date(2015, 1, 1)
_WITHIN_DAYS = 1500


@dataclass(frozen=True)
class Simulation:
    """What is drawn at random, and from where.

    Parameters
    ----------
    rates : ((float, float), (float, float))
        Mean and standard deviation of the share of its volume that the structure loses in a year, of slow and of fast
        subjects. A hippocampus loses 1.41 % a year in healthy ageing and 4.66 % in Alzheimer's disease (meta-analysis:
        Barnes et al., Neurobiol Aging 30 (2009) 1711); the whole brain 0.45 % and, in mild dementia, 0.98 % (Fotenos et
        al., Neurology 64 (2005) 1032).
    fast : float
        Share of subjects that are fast.
    visits : (int, int)
        Fewest and most of a subject.
    years : (float, float)
        Shortest and longest time between two visits.
    turn_deg, shift_mm : float
        Standard deviation of how the patient lies otherwise than last time, about and along each axis.
    noise : (float, float)
        Rician noise, least and most, as shares of the image's 99.5 percentile.
    contrast : float
        Standard deviation of the logarithm of gain and gamma.
    bias : float
        Of a smooth field of sensitivity, the standard deviation of its logarithm.
    measuring : float
        Error of a measured volume, as a share of it.
    missing : float
        Chance of a visit's volume, and of its image, to be missing; never both.
    """

    rates: tuple[tuple[float, float], tuple[float, float]] = ((0.0141, 0.005), (0.0466, 0.01))
    fast: float = 0.5
    visits: tuple[int, int] = (2, 6)
    years: tuple[float, float] = (0.5, 2.0)
    turn_deg: float = 3.0
    shift_mm: float = 1.5
    noise: tuple[float, float] = (0.005, 0.03)
    contrast: float = 0.08
    bias: float = 0.05
    measuring: float = 0.015
    missing: float = 0.08

    def __post_init__(self) -> None:
        (fewest, most), (shortest, longest) = self.visits, self.years
        shares = (self.fast, self.missing, self.noise[0], self.noise[1], self.measuring)
        if not (2 <= fewest <= most and 0 < shortest <= longest and all(0 <= one <= 1 for one in shares)):
            raise InputError(
                "Series cannot be simulated like that.",
                "There are at least two visits, time between them, and shares from 0 to 1.",
                "Correct the numbers.",
            )


@dataclass(frozen=True, eq=False)
class SimulatedVisit:
    """One visit that never took place.

    Parameters
    ----------
    day : datetime.date
    image, label : Volume or None
        None where the image is missing.
    true_ml : float
        Volume of the structure.
    measured_ml : float or None
        The same with the error of measuring; None where it is missing.
    """

    day: date
    image: Volume | None
    label: Volume | None
    true_ml: float
    measured_ml: float | None


@dataclass(frozen=True, eq=False)
class SimulatedSubject:
    """A subject that does not exist.

    Parameters
    ----------
    group : str
        One of `GROUPS`.
    rate : float
        Share of the volume that is lost in a year.
    visits : tuple of SimulatedVisit
    """

    group: str
    rate: float
    visits: tuple[SimulatedVisit, ...]


def simulated(image: Volume, label: Volume, how: Simulation, seed: int) -> SimulatedSubject:
    """A series made of one image, the same for the same seed.

    Raises
    ------
    InputError
        When the label marks nothing, or lies on another grid.
    """
    rng = np.random.default_rng(seed)
    shrinkage = Shrinkage(image, label)
    group = GROUPS[int(rng.random() < how.fast)]
    mean, spread = how.rates[GROUPS.index(group)]
    rate = float(np.clip(rng.normal(mean, spread), 0.0, 0.2))
    count = int(rng.integers(how.visits[0], how.visits[1] + 1))
    gaps = np.round(rng.uniform(*how.years, count - 1) * YEAR).astype(int)
    days = np.concatenate([[0], np.cumsum(gaps)])
    begin = _FIRST + timedelta(days=int(rng.integers(_WITHIN_DAYS)))
    visits = []
    for day in days.tolist():
        share = 1 - (1 - rate) ** (day / YEAR)
        scan, marked, true = shrinkage.shrunken(share, _pose(image, how, rng))
        scan = _scanned(scan, how, rng)
        # All are drawn for every visit, so that what is missing changes nothing of what is there.
        measured = true * (1 + how.measuring * rng.normal())
        missing, unseen = rng.random(2) < how.missing
        seen = bool(missing) or not unseen
        visits.append(
            SimulatedVisit(
                begin + timedelta(days=day),
                scan if seen else None,
                marked if seen else None,
                true,
                None if missing else measured,
            )
        )
    return SimulatedSubject(group, rate, tuple(visits))


def _pose(image: Volume, how: Simulation, rng: np.random.Generator) -> sitk.Transform:
    center = [(size - 1) / 2 * edge for size, edge in zip(image.shape[::-1], image.spacing, strict=True)]
    angles = np.radians(rng.normal(0, how.turn_deg, 3))
    shift = rng.normal(0, how.shift_mm, 3)
    return sitk.Euler3DTransform(center, *angles.tolist(), shift.tolist())


def _scanned(image: Volume, how: Simulation, rng: np.random.Generator) -> Volume:
    """Another day's sensitivity, contrast and noise (Gudbjartsson and Patz, Magn Reson Med 34 (1995) 910)."""
    values = image.array.astype(np.float64)
    peak = max(float(np.percentile(values, 99.5)), 1e-6)
    gain, gamma = np.exp(rng.normal(0, how.contrast, 2))
    values = np.clip(values / peak, 0, None) ** gamma * gain * np.exp(_field(image.shape, how.bias, rng))
    sigma = rng.uniform(*how.noise)
    real, imaginary = rng.normal(0, sigma, (2, *values.shape))
    noisy = np.hypot(values + real, imaginary) * peak
    return Volume(noisy.astype(np.float32), image.affine, image.name, image.modality)


def _field(shape: tuple[int, int, int], strength: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """A polynomial of second degree over the grid."""
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    terms = [*axes, *(axis**2 for axis in axes), axes[0] * axes[1], axes[0] * axes[2], axes[1] * axes[2]]
    field = sum(weight * term for weight, term in zip(rng.normal(size=len(terms)), terms, strict=True))
    return np.asarray((field - field.mean()) * strength / max(float(field.std()), 1e-6))
