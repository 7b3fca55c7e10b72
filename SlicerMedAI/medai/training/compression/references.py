"""What is known of the cases that a student learns from: their classes, or their label maps on the network's grid."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from monai.data import MetaTensor, decollate_batch
from monai.transforms import ResampleToMatch

from medai.bundles.description import Description
from medai.bundles.memory_io import nifti_image
from medai.bundles.pipeline import Pipeline
from medai.training.data import DataList
from medai.training.data.item import DataItem
from medai.training.data.voxels import read_source
from medai.training.judge import values_of

Labels = Callable[[DataItem, torch.Tensor], torch.Tensor | None]
UNKNOWN = -1


def class_of(item: DataItem, count: int) -> torch.Tensor:
    """Number of a case's class; -1 where it is not known or there are several."""
    label = item.label
    known = isinstance(label, int) and not isinstance(label, bool) and 0 <= label < count
    return torch.tensor(int(label) if known else UNKNOWN)  # type: ignore[call-overload]  # an int where known


def label_maps(pipeline: Pipeline, data: DataList, description: Description) -> Labels | None:
    """What brings a case's label map to the grid of its prepared image; None where the network's classes and the
    structures of the data cannot be matched."""
    if pipeline.planar or not description.segments:
        return None
    channels = {segment.name: segment.value for segment in description.segments}
    values = {value: channels[name] for name, value in values_of(data, description).items()}
    match = ResampleToMatch(mode="nearest", padding_mode="zeros")

    def brought(item: DataItem, image: torch.Tensor) -> torch.Tensor | None:
        if "label" not in item.files or not isinstance(image, MetaTensor):
            return None
        stored = nifti_image(read_source(item.files["label"][0]), planar=False)
        array = np.asanyarray(stored.dataobj)
        if array.ndim != 3:
            return None
        numbered = np.zeros(array.shape, np.float32)
        for value, channel in values.items():
            numbered[array == value] = channel
        label = MetaTensor(torch.from_numpy(numbered)[None], affine=torch.from_numpy(stored.affine))
        found = match(label, img_dst=decollate_batch(image)[0])
        return found.as_subclass(torch.Tensor)[None].float()

    return brought
