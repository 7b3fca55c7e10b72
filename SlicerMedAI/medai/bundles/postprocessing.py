"""A bundle's own postprocessing: how it is told apart, and the little that is changed in it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import (
    Activations,
    Activationsd,
    AsDiscrete,
    AsDiscreted,
    Compose,
    EnsureTyped,
    Invertd,
    MapTransform,
    SaveImage,
    SaveImaged,
    ToDeviced,
    apply_transform,
)
from monai.utils import get_equivalent_dtype

from medai.bundles.memory_io import leaves

PRED = "pred"
REFERENCES = frozenset({"label", "labels", "seg", "mask", "gt"})
"""Keys of reference labels, with which a model is judged: an inference goes without them."""

_PROBE = 12  # voxels along an edge, so that what removes small objects leaves it
_LOGIT = 30.0


def without_references(transform: object) -> None:
    """Let every part that would also work on reference labels work without them."""
    for leaf in leaves(transform):
        if isinstance(leaf, MapTransform) and REFERENCES & {str(key).lower() for key in getattr(leaf, "keys", ())}:
            leaf.allow_missing_keys = True


def is_reference(key: str, preprocessing: object) -> bool:
    """Whether the image of this name is a reference label only, and not shown to the network as well."""
    shown = {getattr(leaf, "source", None) for leaf in leaves(preprocessing)}
    return key.lower() in REFERENCES and key not in shown


def keep_labels_whole(postprocessing: object) -> bool:
    """Bring labels back to the image's grid by nearest neighbour; whether the bundle asked for something else.

    Some bundles ask for linear interpolation after labels have been made. Between label 0 and label 2 that would find
    label 1, and fractions that are no label at all.
    """
    discrete: set[str] = set()
    changed = False
    parts = list(leaves(postprocessing))
    for number, leaf in enumerate(parts):
        if isinstance(leaf, AsDiscreted):
            discrete |= {str(key) for key in leaf.keys}
        elif isinstance(leaf, Invertd) and all(map(_keeps_fractions, parts[number + 1 :])):
            nearest = tuple(
                near or str(key) in discrete for key, near in zip(leaf.keys, leaf.nearest_interp, strict=True)
            )
            changed = changed or nearest != tuple(map(bool, leaf.nearest_interp))
            leaf.nearest_interp = nearest
    return changed


def _keeps_fractions(leaf: object) -> bool:
    """Whether fractions would come out of it as fractions; if not, the bundle's own way of rounding them counts."""
    if isinstance(leaf, SaveImaged):
        dtype = leaf.saver.init_kwargs.get("output_dtype")
        return dtype is None or np.dtype(get_equivalent_dtype(dtype, np.ndarray)).kind == "f"
    return isinstance(leaf, (EnsureTyped, ToDeviced))


def undecided(postprocessing: object) -> Compose:
    """The part of it that leaves probabilities: all but making decisions and saving them."""
    decisions = (AsDiscrete, AsDiscreted, SaveImage, SaveImaged)
    return Compose([leaf for leaf in leaves(postprocessing) if not isinstance(leaf, decisions)])


def activates(postprocessing: object) -> bool:
    """Whether it makes probabilities of the network's values."""
    return any(isinstance(leaf, (Activations, Activationsd)) for leaf in leaves(postprocessing))


def excludes(postprocessing: object) -> bool:
    """Whether the classes of a classification exclude each other: it makes probabilities by softmax, or not at all."""
    for leaf in leaves(postprocessing):
        if isinstance(leaf, Activations) and leaf.sigmoid:
            return False
        if isinstance(leaf, Activationsd) and any(leaf.sigmoid):
            return False
    return True


def values_of_channels(postprocessing: object, channels: int, dimensions: int = 3) -> tuple[int, ...]:
    """The label that each channel alone becomes, where several channels are merged into one labelmap.

    The bundle's own postprocessing is tried out on a small image for each channel, in which that channel is certain
    everywhere and no other is.

    Parameters
    ----------
    postprocessing : Compose
        Of the bundle.
    channels : int
        Of the network's output.
    dimensions : int
        2 or 3.

    Returns
    -------
    tuple of int
        Empty where labels are the numbers of channels (argmax), or it cannot be told.
    """
    parts = [leaf for leaf in leaves(postprocessing) if not isinstance(leaf, (Invertd, SaveImage, SaveImaged))]
    if channels < 2 or any(_takes_the_highest(leaf) for leaf in parts):
        return ()
    try:
        found = tuple(_value(parts, channel, channels, dimensions) for channel in range(channels))
    except Exception:  # a part that cannot be tried out alone, and may raise anything
        return ()
    return found if len(set(found)) == channels else ()


def _value(parts: Iterable[object], channel: int, channels: int, dimensions: int) -> int:
    values = torch.full((channels, *[_PROBE] * dimensions), -_LOGIT)
    values[channel] = _LOGIT
    sample = apply_transform(Compose(list(parts)), {PRED: MetaTensor(values)}, map_items=False, log_stats=False)
    (label,) = torch.as_tensor(sample[PRED]).reshape(-1, _PROBE**dimensions)[:, -1].tolist()
    return int(label)


def _takes_the_highest(leaf: object) -> bool:
    if isinstance(leaf, AsDiscrete):
        return bool(leaf.argmax)
    return isinstance(leaf, AsDiscreted) and any(leaf.argmax)
