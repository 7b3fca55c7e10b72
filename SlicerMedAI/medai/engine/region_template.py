"""The region template that a bundle may bring: what the crops it was trained on look like on average."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medai.errors import BundleFormatError, InputError
from medai.files.headers import check_header
from medai.volume import Volume

_MOST_VOXELS = 256**3  # of one image; a template is coarse
_MOST_SIDES = 32  # every one is searched for in the whole image; a spine has 26 vertebrae


@dataclass(frozen=True)
class Side:
    """One instance of a structure: its name, and whether it looks like the template's left-right mirror image."""

    name: str
    mirrored: bool


@dataclass(frozen=True, eq=False)
class RegionTemplate:
    """What a model's region looks like.

    Parameters
    ----------
    image : Volume
        Mean of the training crops, RAS axes, isotropic; the structure's centre lies at the grid's centre.
    mask : ndarray of bool, shape (K, J, I)
        Voxels of `image` that enough crops covered.
    size_mm : tuple of float
        Size of the region to hand to the model, along R, A, S.
    sides : tuple of Side
        Every instance to find, from left to right.
    distance_mm : tuple of float
        Least and greatest distance along R from one side to the next; heads are tilted, so along A and S they may
        differ by about half of the least.
    min_score : float
        Mean correlation over the sides, -1 to 1, below which nothing is reported.
    """

    image: Volume
    mask: NDArray[np.bool_]
    size_mm: tuple[float, float, float]
    sides: tuple[Side, ...] = (Side("", mirrored=False),)
    distance_mm: tuple[float, float] = (0.0, np.inf)
    min_score: float = 0.45


def read_template(root: Path) -> RegionTemplate:
    """The template named by ``medai.region`` in a bundle's ``configs/metadata.json``.

    Parameters
    ----------
    root : Path
        The bundle's folder. The image file has two components, mean appearance and mask, on RAS axes.

    Raises
    ------
    BundleFormatError
        When the bundle brings no template, one that cannot be read, or one far larger than any structure needs.
    """
    import SimpleITK as sitk  # here, so that opening a panel does not load it

    try:
        metadata = json.loads((root / "configs" / "metadata.json").read_text(encoding="utf-8"))
        entry = metadata["medai"]["region"]
        path = (root / entry["template"]).resolve()
        path.relative_to(root.resolve())  # a template outside the bundle is not the bundle's
        check_header(path)
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        _check_size(math.prod(reader.GetSize()), len(entry["sides"]))
        image = reader.Execute()
        array = sitk.GetArrayFromImage(image)
        affine = np.diag([*image.GetSpacing(), 1.0])
        r, a, s = (float(edge) for edge in entry["size_mm"])
        least, greatest = (float(distance) for distance in entry.get("distance_mm", (0, np.inf)))
        sides = tuple(Side(str(side["name"]), bool(side["mirrored"])) for side in entry["sides"])
        return RegionTemplate(
            Volume(array[..., 0], affine), array[..., 1] > 0.5, (r, a, s), sides, (least, greatest), entry["min_score"]
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError, RuntimeError, InputError) as error:
        raise BundleFormatError(
            "This model cannot find its region by itself.",
            "Its bundle brings no region template that can be read.",
            "Draw a region around the structure of interest.",
            details=f"{root}: {error}",
        ) from error


def _check_size(voxels: int, sides: int) -> None:
    if voxels > _MOST_VOXELS or sides > _MOST_SIDES:
        raise ValueError(f"{voxels} voxels and {sides} sides are more than {_MOST_VOXELS} and {_MOST_SIDES}")
