"""What MONAI's Invertd would do to a grid, read from the record of operations that the preprocessing left.

Nothing is resampled here. The coordinates of every axis come from the very functions MONAI calls, run on a ramp along
that axis: what they return for a ramp is where they looked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import monai.config
import nibabel
import numpy as np
import torch
from monai.data.utils import AFFINE_TOL, to_affine_nd
from monai.networks.layers import AffineTransform
from monai.transforms import Compose, MapTransform
from monai.transforms.inverse import InvertibleTransform
from monai.transforms.utils import convert_applied_interp_mode, map_spatial_axes, scale_affine
from monai.utils import TraceKeys
from numpy.typing import NDArray

from medai.engine.streaming.axes import GridMap
from medai.engine.streaming.errors import NotStreamableError
from medai.engine.streaming.recipe import Inversion

Operation = Mapping[str, Any]
Shape = tuple[int, ...]
Sampling = Callable[[torch.Tensor], torch.Tensor]
# Voxels by which an axis may run askew: the affine of an oblique image is rounded to 32 bits in its file.
_TURN = 1e-4
_SURPRISES = (KeyError, TypeError, ValueError, IndexError, AttributeError)


def inverted(invert: Inversion, image: Any, model: GridMap) -> GridMap:
    """The grid that `invert` brings the model's output to.

    Parameters
    ----------
    invert : Inversion
        What Invertd is asked to do.
    image : MetaTensor, shape (C, *spatial)
        What it takes the record of operations from.
    model : GridMap
        The model's grid.

    Raises
    ------
    NotStreamableError
        When something was done that is not one map per axis.
    """
    operations = list(image.applied_operations)
    _check_they_belong(invert, operations)
    if invert.nearest:
        operations = convert_applied_interp_mode(operations, mode="nearest", align_corners=None)
    grid = model
    for operation in reversed(operations):
        name = str(operation[TraceKeys.CLASS_NAME])
        undo = _UNDO.get(name)
        if undo is None or operation.get(TraceKeys.LAZY):
            raise NotStreamableError(f"undoing {name} needs the whole output")
        try:
            size = tuple(int(n) for n in operation[TraceKeys.ORIG_SIZE])
            grid = undo(grid, operation.get(TraceKeys.EXTRA_INFO, {}), size)
        except _SURPRISES as error:
            raise NotStreamableError(f"its record of {name} could not be read: {error}") from error
        if grid.shape != size:
            raise NotStreamableError(f"undoing {name} gives another size than there was")
    return grid


def _check_they_belong(invert: Inversion, operations: Sequence[Operation]) -> None:
    """Invertd undoes one operation per invertible transform of its key; anything else is left to MONAI."""
    if type(invert.transform) is not Compose:
        raise NotStreamableError("it inverts something else than a plain Compose")
    flat = invert.transform.flatten().transforms  # type: ignore[attr-defined]
    invertible = [leaf for leaf in flat if isinstance(leaf, InvertibleTransform)]
    # A bundle's own transform need not have been made as MONAI makes them.
    if not all(isinstance(leaf, MapTransform) and hasattr(leaf, "keys") for leaf in invertible):
        raise NotStreamableError("it inverts transforms that do not say what in a dictionary they change")
    if len([leaf for leaf in invertible if invert.source in leaf.keys]) != len(operations):
        raise NotStreamableError("its record of operations is not that of its preprocessing")


def _pad(grid: GridMap, extra: Operation, _: Shape) -> GridMap:
    return _crop_ends(grid, extra["padded"])


def _crop_ends(grid: GridMap, padded: Sequence[Sequence[int]]) -> GridMap:
    if any(padded[0]):
        raise NotStreamableError("its preprocessing pads channels")
    ends = [(int(a), int(b)) for a, b in padded[1:]]
    ends += [(0, 0)] * (len(grid.axes) - len(ends))
    shape = [n - a - b for n, (a, b) in zip(grid.shape, ends, strict=True)]
    return grid.shifted([a for a, _ in ends], shape)


def _crop(grid: GridMap, extra: Operation, _: Shape) -> GridMap:
    return _pad_ends(grid, extra["cropped"])


def _pad_ends(grid: GridMap, cropped: Sequence[int]) -> GridMap:
    starts, stops = [int(n) for n in cropped[::2]], [int(n) for n in cropped[1::2]]
    shape = [n + a + b for n, a, b in zip(grid.shape, starts, stops, strict=True)]
    return grid.shifted([-n for n in starts], shape)


def _crop_foreground(grid: GridMap, extra: Operation, _: Shape) -> GridMap:
    return _pad_ends(_crop_ends(grid, extra["pad_info"][TraceKeys.EXTRA_INFO]["padded"]), extra["cropped"])


def _crop_or_pad(grid: GridMap, extra: Operation, _: Shape) -> GridMap:
    grid = _crop_ends(grid, extra["pad_info"][TraceKeys.EXTRA_INFO]["padded"])
    return _pad_ends(grid, extra["crop_info"][TraceKeys.EXTRA_INFO]["cropped"])


def _flip(grid: GridMap, extra: Operation, _: Shape) -> GridMap:
    axes = map_spatial_axes(len(grid.axes) + 1, extra["axes"])
    return grid.flipped([axis + 1 in axes for axis in range(len(grid.axes))])


def _orientation(grid: GridMap, extra: Operation, _: Shape) -> GridMap:
    rank = len(grid.axes)
    original = to_affine_nd(rank, np.asarray(extra["original_affine"], dtype=np.float64))
    wanted = nibabel.orientations.axcodes2ornt(nibabel.orientations.aff2axcodes(original))
    turn = nibabel.orientations.ornt_transform(nibabel.io_orientation(grid.affine), wanted)
    flipped = grid.flipped([bool(flip == -1) for flip in turn[:, 1]])
    return flipped.transposed([int(axis) for axis in np.argsort(turn[:, 0])])


def _resample(grid: GridMap, extra: Operation, size: Shape) -> GridMap:
    rank = len(grid.axes)
    target = to_affine_nd(rank, np.asarray(extra["src_affine"], dtype=np.float64))
    matrix = np.linalg.solve(grid.affine, target)
    same = any(np.allclose(a, b, atol=AFFINE_TOL) for a, b in ((grid.affine, target), (matrix, np.eye(rank + 1))))
    if same and size == grid.shape:
        return grid  # MONAI leaves the image, and its affine, alone
    scales, offsets = np.diag(matrix)[:rank], matrix[:rank, rank]
    # What is left beside the diagonal moves voxels towards the image's corners, none in its middle.
    crossed, middle = matrix[:rank, :rank] - np.diag(scales), (np.array(size) - 1) / 2
    if (np.abs(crossed) @ middle).max() > _TURN:
        raise NotStreamableError("its preprocessing turns the image")
    offsets = offsets + crossed @ middle
    align = extra["align_corners"] is True
    if extra["padding_mode"] != "border":
        _check_within(scales, offsets, size, grid.shape)
    coordinates = [
        _looked_up(_affine_of(scales[n], offsets[n], size[n], extra["mode"], align), grid.shape[n]) for n in range(rank)
    ]
    return grid.between(coordinates, list(scales), list(offsets))


def _affine_of(scale: float, offset: float, size: int, mode: object, align: bool) -> Sampling:
    if mode not in ("bilinear", "nearest") or monai.config.USE_COMPILED:
        raise NotStreamableError(f"its preprocessing interpolates by '{mode}'")
    theta = torch.tensor([[scale, 0.0, offset], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    layer = AffineTransform(normalized=False, mode=mode, padding_mode="border", align_corners=align)

    def sample(ramp: torch.Tensor) -> torch.Tensor:
        return layer(ramp[None, None, :, None].repeat(1, 1, 1, 2), theta, spatial_size=(size, 2))[0, 0, :, 0]

    return sample


def _resize(grid: GridMap, extra: Operation, size: Shape) -> GridMap:
    if int(extra.get("new_dim", 0)):
        raise NotStreamableError("its preprocessing adds an axis")
    align = None if extra["align_corners"] == TraceKeys.NONE else extra["align_corners"]
    if size == grid.shape:
        coordinates = [np.arange(n, dtype=np.float64) for n in size]
    else:
        coordinates = [
            _looked_up(_interpolation_of(n, extra["mode"], align), have)
            for n, have in zip(size, grid.shape, strict=True)
        ]
    matrix = np.asarray(scale_affine(grid.shape, size), dtype=np.float64)
    rank = len(size)
    return grid.between(coordinates, list(np.diag(matrix)[:rank]), list(matrix[:rank, rank]))


def _interpolation_of(size: int, mode: str, align: bool | None) -> Sampling:
    mode = {"bilinear": "linear", "trilinear": "linear"}.get(mode, mode)
    if mode not in ("linear", "nearest", "nearest-exact", "area"):
        raise NotStreamableError(f"its preprocessing interpolates by '{mode}'")

    def sample(ramp: torch.Tensor) -> torch.Tensor:
        if mode == "area":
            n = torch.arange(size)
            longest = -(-(n + 1) * len(ramp) // size) - n * len(ramp) // size
            if int(longest.max()) > 2:
                raise NotStreamableError("its preprocessing averages more than two neighbours")
        return torch.nn.functional.interpolate(ramp[None, None], size, mode=mode, align_corners=align).flatten()

    return sample


def _looked_up(sample: Sampling, size: int) -> NDArray[np.float64]:
    """Where `sample` looks along an axis of `size` voxels."""
    found = sample(torch.arange(size, dtype=torch.float64)).numpy()
    return np.asarray(np.clip(found, 0, size - 1), dtype=np.float64)


def _check_within(scales: Any, offsets: Any, size: Sequence[int], have: Sequence[int]) -> None:
    """Only at the image's border do MONAI's padding modes differ."""
    ends = np.array([offsets, offsets + scales * (np.array(size) - 1)])
    if (ends < -1e-9).any() or (ends > np.array(have) - 1 + 1e-9).any():
        raise NotStreamableError("its preprocessing looks beyond the edge of the image in a way of its own")


_UNDO: dict[str, Callable[[GridMap, Operation, Shape], GridMap]] = {
    "Orientation": _orientation,
    "Flip": _flip,
    "SpatialResample": _resample,
    "ResampleToMatch": _resample,
    "Resize": _resize,
    **dict.fromkeys(("Pad", "SpatialPad", "BorderPad", "DivisiblePad"), _pad),
    **dict.fromkeys(("Crop", "SpatialCrop", "CenterSpatialCrop"), _crop),
    "CropForeground": _crop_foreground,
    "ResizeWithPadOrCrop": _crop_or_pad,
}
