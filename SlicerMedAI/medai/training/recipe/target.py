"""What a translation makes images into: pairs of images of one patient, the second on the place of the first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medai.errors import InputError
from medai.training.data import DataList, DataReport
from medai.training.data.voxels import read_source
from medai.training.parameters import TrainingParameters

TARGET = "target"
"""Key of the image that is to be made, in a data list."""
_LOOKED_AT = 25


@dataclass(frozen=True)
class Target:
    """The images that are to be made.

    Parameters
    ----------
    channels : int
    low, high : float
        Intensities that the network's 0 and 1 become: the medians, over cases, of their 0.5 and 99.5 percentiles.
    """

    channels: int
    low: float
    high: float


def check_target(parameters: TrainingParameters, report: DataReport) -> None:
    """Refuse data without pairs, and what a training of two networks cannot do.

    Raises
    ------
    InputError
    """
    if TARGET not in report.images:
        raise InputError(
            "A translation cannot be learned from these data.",
            "They have no images to make the others into.",
            f"Give a data list whose cases have an 'image' and a '{TARGET}', in one place.",
        )
    if len(report.images[TARGET].channels) != 1:
        raise InputError(
            "A translation cannot be learned from these data.",
            "Some of the images to be made are grey, others not.",
            "Convert them all to grey or all to colour.",
        )
    for name in ("l1", "gradient_clip"):
        if getattr(parameters, name):
            raise InputError(
                f"'{getattr(parameters, name)}' cannot be used for '{name}'.",
                "A translation is trained by two networks in turns, which cannot be held back like that.",
                "Leave it out.",
            )


def target_of(training: DataList, report: DataReport) -> Target:
    """From the training cases that have one."""
    known = training.where(lambda item: TARGET in item.files)
    if not len(known):
        raise InputError(
            "There is nothing to train on.",
            f"No case for training has a '{TARGET}'.",
            "Choose other data, or another part of them for training.",
        )
    few = known.items[:: max(1, -(-len(known) // _LOOKED_AT))]
    images = [read_source(item.files[TARGET][0]).array.astype(np.float64) for item in few]
    low, high = np.median([np.percentile(image, (0.5, 99.5)) for image in images], axis=0)
    return Target(report.images[TARGET].channels[0], round(float(low), 4), round(float(high), 4))
