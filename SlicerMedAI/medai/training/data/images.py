"""The images of a data list as MONAI's transforms take them."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import LoadImage, MapTransform

from medai.bundles.memory_io import MemoryReader
from medai.training.data.datalist import DataList
from medai.training.data.item import DataItem, parse_source
from medai.training.data.voxels import read_source
from medai.volume import Volume


class _Shelf(Mapping[str, Volume]):
    """Any image by the text form of its source, read when asked for."""

    def __getitem__(self, name: str) -> Volume:
        return read_source(parse_source(name, Path()))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class LoadSourced(MapTransform):  # type: ignore[misc]
    """MONAI's ``LoadImaged`` for whatever a `DataList` names: files of any format medai reads, DICOM folders, arrays.

    The images reach the network as they will when `medai` runs the trained bundle on them: by MONAI's ``LoadImage``
    with the reader that serves the bundle's pipeline. For NIfTI files that is what MONAI's own reader gives.

    Parameters
    ----------
    keys : str or sequence of str
        Of images in the dictionary; what is absent is left out.
    planar : bool
        Whether a single slice becomes a 2D image (channel, i, j) instead of (channel, i, j, 1).
    dtype : dtype or None
        Of the loaded tensors; None keeps the stored one.
    """

    def __init__(self, keys: KeysCollection, *, planar: bool = True, dtype: Any = np.float32) -> None:
        super().__init__(keys, allow_missing_keys=True)
        self.reader = MemoryReader(_Shelf(), planar=planar, options_of=None, loader_dtype=dtype)
        self.load = LoadImage(
            reader=self.reader, image_only=True, dtype=dtype, ensure_channel_first=True, expanduser=False
        )

    def __call__(self, data: Mapping[Any, Any]) -> dict[Hashable, Any]:
        """Dictionary with MetaTensors of shape (channel, i, j[, k]) whose ``affine`` maps (i, j, k, 1) to RAS mm.

        Raises
        ------
        MedAIError
            As `medai.training.data.voxels.read_source`.
        """
        loaded = dict(data)
        for key in self.key_iterator(loaded):
            # Named at the call, because MONAI would try its other readers after an error and hide what it said.
            loaded[key] = self.load(loaded[key], reader=self.reader)
        return loaded


def loader(data: DataList, *, planar: bool = True, dtype: Any = np.float32) -> LoadSourced:
    """The first transform of a training on `data`; its input is `DataList.dicts`."""
    return LoadSourced(data.file_keys, planar=planar, dtype=dtype)


def load_item(item: DataItem, *, planar: bool = True, dtype: Any = np.float32) -> dict[Hashable, Any]:
    """One case with its images loaded; see `LoadSourced`."""
    return LoadSourced(tuple(item.files), planar=planar, dtype=dtype)(item.as_dict())
