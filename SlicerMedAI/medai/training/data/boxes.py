"""Masks turned into boxes: one per connected piece."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medai.errors import InputError
from medai.progress import Progress, Report, ignore
from medai.training.data.datalist import DataList
from medai.training.data.item import DataItem
from medai.training.data.voxels import read_source
from medai.volume import Affine, Region, Volume, apply_affine


@dataclass(frozen=True, eq=False)
class MaskBox:
    """One connected piece of a mask.

    Parameters
    ----------
    box : tuple of float
        (i min, j min[, k min], i max, j max[, k max]) in voxels of the mask: from the minimum to just below the
        maximum, as MONAI's ``StandardMode`` has it. Without k for a single slice.
    region : Region
        The same in RAS mm, from edge to edge of the outermost voxels, along the image's axes (along the patient's
        where the image is sheared and its own are not at right angles).
    value : int
        Of the mask's voxels.
    voxels : int
        Size of the piece.
    """

    box: tuple[float, ...]
    region: Region
    value: int
    voxels: int


def boxes_of(
    mask: Volume, *, smallest_mm: float = 0.0, smallest_voxels: int = 1, by_value: bool = False
) -> tuple[MaskBox, ...]:
    """A box around every connected piece.

    Parameters
    ----------
    mask : Volume
        0 is background. Pieces that touch at a corner are one.
    smallest_mm : float
        Pieces whose longest edge is shorter are left out.
    smallest_voxels : int
        Pieces with fewer voxels are left out.
    by_value : bool
        Whether different values are different pieces even where they touch.

    Returns
    -------
    tuple of MaskBox
        Largest piece first.

    Raises
    ------
    InputError
        When the mask has several components.
    """
    if mask.channels > 1:
        raise InputError(
            f"'{mask.name}' is not a mask.",
            f"It has {mask.channels} values per voxel.",
            "Choose a mask in grey levels.",
        )
    array = mask.array.reshape(mask.shape)
    values = [int(value) for value in np.unique(array) if value] if by_value else [0]
    found = [piece for value in values for piece in _pieces(array == value if by_value else array != 0)]
    boxes = [_mask_box(mask, piece) for piece in found]
    big = [b for b in boxes if b.voxels >= smallest_voxels and b.region.size.max() >= smallest_mm]
    return tuple(sorted(big, key=lambda b: (-b.voxels, b.box)))


def with_boxes(
    data: DataList,
    *,
    key: str = "mask",
    smallest_mm: float = 0.0,
    smallest_voxels: int = 1,
    by_value: bool = False,
    report: Report = ignore,
    workers: int = 4,
) -> DataList:
    """Give every case the boxes of its mask, for a detector.

    Parameters
    ----------
    data : DataList
        Cases with a mask under `key` (or under ``"label"`` where there is none). A case without any keeps no boxes.
    smallest_mm, smallest_voxels, by_value
        As for `boxes_of`.
    report : callable
        Told after every case; may raise `medai.errors.JobCancelled`.
    workers : int
        Masks read at the same time.

    Returns
    -------
    DataList
        For the task ``"detect"``: ``"box"`` and ``"label"`` as MONAI's detection transforms take them. A box's label is
        the case's class where the list has classes, else the mask's value (with `by_value`, numbered from 0), else 0.
    """

    def boxes(item: DataItem) -> tuple[MaskBox, ...]:
        sources = item.files.get(key) or item.files.get("label") or ()
        return (
            boxes_of(
                read_source(sources[0]), smallest_mm=smallest_mm, smallest_voxels=smallest_voxels, by_value=by_value
            )
            if sources
            else ()
        )

    found = _each(data, boxes, report, workers)
    of_values = by_value and data.task == "segment"
    values = sorted({box.value for per_item in found for box in per_item})
    numbers = {value: number for number, value in enumerate(values)}
    names = {numbers[v]: data.label_names.get(v, str(v)) for v in values} if of_values else data.label_names
    items = []
    for item, per_item in zip(data, found, strict=True):
        own = item.label if isinstance(item.label, int) else 0
        labels = [numbers[box.value] if of_values else own for box in per_item]
        files = {("mask" if name == "label" else name): source for name, source in item.files.items()}
        items.append(dataclasses.replace(item, files=files).with_values(box=[b.box for b in per_item], label=labels))
    return dataclasses.replace(data, items=tuple(items), task="detect", label_names=dict(names) or {0: "lesion"})


def boxed(data: DataList, report: Report = ignore) -> DataList:
    """The list itself where it has boxes; else with those of its masks (see `with_boxes`), of one class.

    Raises
    ------
    InputError
        When it has neither.
    """
    if any("box" in item.values for item in data):
        return data
    if not {"mask", "label"} & set(data.file_keys):
        raise InputError(
            f"There is nothing to find in '{data.name}'.",
            "No case has boxes, nor a mask to make boxes of.",
            "Choose data with boxes (COCO, a MONAI data list) or masks.",
        )
    return with_boxes(data, report=report)


def _each(
    data: DataList, work: Callable[[DataItem], tuple[MaskBox, ...]], report: Report, workers: int
) -> list[tuple[MaskBox, ...]]:
    found = []
    pool = ThreadPoolExecutor(max(workers, 1), thread_name_prefix="medai-boxes")
    try:
        for number, boxes in enumerate(pool.map(work, data.items), 1):
            found.append(boxes)
            report(Progress("Making boxes of masks", number, len(data)))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return found


@dataclass(frozen=True, eq=False)
class _Piece:
    """Start and size along (i, j, k), the index (k, j, i) of one of its voxels, and their number."""

    start: NDArray[np.int64]
    size: NDArray[np.int64]
    seed: tuple[int, int, int]
    voxels: int


def _pieces(mask: NDArray[np.bool_]) -> list[_Piece]:
    import SimpleITK as sitk

    labelled = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.view(np.uint8)), True)
    statistics = sitk.LabelShapeStatisticsImageFilter()
    statistics.ComputeFeretDiameterOff()
    statistics.ComputePerimeterOff()
    statistics.Execute(labelled)
    pieces = []
    for label in statistics.GetLabels():
        bounds = np.array(statistics.GetBoundingBox(label), dtype=np.int64)
        i, j, k = statistics.GetIndexes(label)[:3]
        pieces.append(_Piece(bounds[:3], bounds[3:], (k, j, i), int(statistics.GetNumberOfPixels(label))))
    return pieces


def _mask_box(mask: Volume, piece: _Piece) -> MaskBox:
    axes = 2 if mask.shape[0] == 1 else 3
    ends = (piece.start[:axes], (piece.start + piece.size)[:axes])
    box = tuple(float(value) for end in ends for value in end)
    value = int(mask.array.reshape(mask.shape)[piece.seed])
    return MaskBox(box, box_region(box, mask.affine), value, piece.voxels)


def box_region(box: Sequence[float], affine: Affine) -> Region:
    """A box in voxels as a region in RAS mm.

    Parameters
    ----------
    box : sequence of float
        As `MaskBox.box`. A voxel reaches half its size to each side of its centre, so the box ``(0, 0, 1, 1)`` is the
        whole of the first voxel.
    affine : ndarray, shape (4, 4)
        (i, j, k, 1) to RAS mm.
    """
    half = len(box) // 2
    low = np.array([*box[:half], *([0] * (3 - half))]) - 0.5
    high = np.array([*box[half:], *([1] * (3 - half))]) - 0.5
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    axes = affine[:3, :3] / lengths
    if np.abs(axes.T @ axes - np.eye(3)).max() < 1e-4:
        center = apply_affine(affine, (low + high)[np.newaxis] / 2)[0]
        return Region(center, (high - low) * lengths, axes)
    corners = np.array(
        [[(low, high)[a][0], (low, high)[b][1], (low, high)[c][2]] for a in (0, 1) for b in (0, 1) for c in (0, 1)]
    )
    placed = apply_affine(affine, corners)
    return Region((placed.min(axis=0) + placed.max(axis=0)) / 2, np.ptp(placed, axis=0))
