"""The parts of an image that are classified one by one: itself, its slices, regions of it, slices of these."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from medai.bundles.description import Description
from medai.engine.inputs import check_contrast, left_out
from medai.engine.regions import Block, prefixes
from medai.errors import InputError
from medai.tasks.classify.choice import whole_volumes_only
from medai.tasks.classify.parameters import ViewParameters
from medai.volume import Volume, crop


@dataclass(frozen=True, eq=False)
class View:
    """One thing that the network looks at.

    Parameters
    ----------
    images : tuple of Volume
        One per input of the model.
    block : tuple of slice
        Along (k, j, i): where it is in the whole image.
    region : str
        What its region is called; ``""`` where there is no more than one.
    index : int or None
        Of a slice, its number in the whole image.
    """

    images: tuple[Volume, ...]
    block: Block
    region: str = ""
    index: int | None = None


def views_of(
    images: tuple[Volume, ...],
    parameters: ViewParameters,
    description: Description,
    *,
    planar: bool,
    tell: Callable[[str], None],
) -> list[View]:
    """Whatever of an image is to be classified, in the order of regions and slices.

    Parameters
    ----------
    images : tuple of Volume
        One per input of the model, on one grid.
    parameters : ViewParameters
        What was asked.
    description : Description
        Of the model.
    planar : bool
        Whether it works on single slices.
    tell : callable
        Hears of slices that are left out because nothing can be seen in them.

    Raises
    ------
    InputError
        When there is no such slice, or nothing can be seen in a region.
    GeometryError
        When a region misses the image.
    """
    if parameters.slice_index is not None and not planar:
        raise whole_volumes_only(description)
    blocks: list[Block] = [region.slices(images[0]) for region in parameters.regions]
    names = prefixes(parameters.regions)
    if not blocks:
        depth, rows, columns = images[0].shape
        blocks, names = [(slice(0, depth), slice(0, rows), slice(0, columns))], ("",)
    found = []
    for block, name in zip(blocks, names, strict=True):
        for image in images:
            check_contrast(crop(image, block))
        found += list(_slices(images, block, name, parameters.slice_index, tell) if planar else [])
        if not planar:
            found.append(View(tuple(crop(image, block) for image in images), block, name))
    return found


def _slices(
    images: tuple[Volume, ...], block: Block, region: str, chosen: int | None, tell: Callable[[str], None]
) -> Iterator[View]:
    depth = images[0].shape[0]
    numbers = range(depth)[block[0]]
    if chosen is not None and chosen not in numbers:
        raise InputError(
            f"There is no slice {chosen} to classify.",
            f"The image{f' in region {region}' if region else ''} has the slices {numbers[0]} to {numbers[-1]}.",
            "Choose one of them.",
        )
    wanted = numbers if chosen is None else (chosen,)
    empty = []
    for number in wanted:
        at = (slice(number, number + 1), block[1], block[2])
        cropped = tuple(crop(image, at) for image in images)
        if len(wanted) > 1 and any(image.array.min() == image.array.max() for image in cropped):
            empty.append(number)
            continue
        for image in cropped:
            check_contrast(image)
        yield View(cropped, at, region, number if depth > 1 else None)
    if empty:
        tell(left_out(empty))
