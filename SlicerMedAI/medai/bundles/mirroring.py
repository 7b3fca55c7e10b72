"""Along which axes a model was trained on mirrored images: only there may it be shown mirrors of an image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from medai.bundles import configs
from medai.errors import BundleFormatError

_ONE_FLIP = ("RandFlip", "RandFlipd", "RandFlipD", "RandFlipDict")
_ANY_AXIS = ("RandAxisFlip", "RandAxisFlipd", "RandAxisFlipD", "RandAxisFlipDict")


def mirror_axes(root: Path, dimensions: int = 3) -> tuple[int, ...]:
    """Spatial axes of the network's input along which the training's own augmentation has flipped images.

    Parameters
    ----------
    root : Path
        The bundle's folder.
    dimensions : int
        Spatial axes of the network's input.

    Returns
    -------
    tuple of int
        ``medai.mirror_axes`` of the metadata, where the bundle declares them; else the axes of MONAI's RandFlipd and
        RandAxisFlipd in its training configuration. Empty when neither says so.
    """
    own = configs.metadata(root).get("medai")
    declared = own.get("mirror_axes") if isinstance(own, Mapping) else None
    axes = _numbers(declared) if declared is not None else _flipped(root, dimensions)
    return tuple(sorted({axis % dimensions for axis in axes if -dimensions <= axis < dimensions}))


def _flipped(root: Path, dimensions: int) -> list[int]:
    axes: list[int] = []
    for path in configs.all_named(root, "train"):
        try:
            steps = list(_steps(configs.read(path)))
        except BundleFormatError:
            continue  # not needed to use the model
        for step in steps:
            kind = str(step["_target_"]).rpartition(".")[2]
            if kind in _ANY_AXIS or (kind in _ONE_FLIP and step.get("spatial_axis") is None):
                axes += range(dimensions)
            elif kind in _ONE_FLIP:
                axes += _numbers(step["spatial_axis"])
    return axes


def _steps(content: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(content, Mapping):
        if "_target_" in content and not content.get("_disabled_"):
            yield content
        for part in content.values():
            yield from _steps(part)
    elif isinstance(content, list):
        for part in content:
            yield from _steps(part)


def _numbers(value: Any) -> list[int]:
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, int) and not isinstance(one, bool)]
