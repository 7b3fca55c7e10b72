"""MetaImage (``.mha``): a text header, then the voxels.

Written here with all digits of the geometry; the format is https://itk.org/Wiki/ITK/MetaIO/Documentation.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medai.files.itk import LPS_TO_RAS
from medai.volume import Affine

_TYPES = {
    "u1": "MET_UCHAR", "i1": "MET_CHAR", "u2": "MET_USHORT", "i2": "MET_SHORT", "u4": "MET_UINT", "i4": "MET_INT",
    "u8": "MET_ULONG_LONG", "i8": "MET_LONG_LONG", "f4": "MET_FLOAT", "f8": "MET_DOUBLE",
}  # fmt: skip


def write_metaimage(target: Path, array: NDArray[np.generic], affine: Affine, *, keys: Mapping[str, str]) -> None:
    """Write voxels of shape (K, J, I) or (K, J, I, C); the affine maps (i, j, k) to RAS mm and is stored as LPS."""
    lps = LPS_TO_RAS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    fields = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": str(sys.byteorder == "big"),
        "CompressedData": "False",
        "TransformMatrix": _numbers((lps[:3, :3] / spacing).T.ravel()),  # one axis after the other
        "Offset": _numbers(lps[:3, 3]),
        "CenterOfRotation": "0 0 0",
        "AnatomicalOrientation": "RAI",
        "ElementSpacing": _numbers(spacing),
        "DimSize": " ".join(str(n) for n in array.shape[2::-1]),
        **({"ElementNumberOfChannels": str(array.shape[3])} if array.ndim == 4 else {}),
        "ElementType": _TYPES[array.dtype.str[1:]],
        **{re.sub(r"\W", "_", key): " ".join(value.split()) for key, value in keys.items()},
        "ElementDataFile": "LOCAL",
    }
    with target.open("wb") as file:
        file.write("".join(f"{key} = {value}\n" for key, value in fields.items()).encode("utf-8"))
        file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _numbers(values: NDArray[np.float64]) -> str:
    return " ".join(repr(float(v) + 0.0) for v in values)
