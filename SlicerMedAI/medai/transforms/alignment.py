"""Rigid alignment of an image with a template, which Invertd undoes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, LoadImage, MapTransform, SpatialResample
from monai.utils import ensure_tuple_rep

from medai.errors import BundleFormatError
from medai.transforms.registration import rigid


class AlignToTemplated(MapTransform, InvertibleTransform):  # type: ignore[misc]
    """Brings images onto the grid of a template, turned and moved so that they show the same in the same place.

    The image is resampled once, on a grid that lies in the patient as the template lies in its own: its affine stays
    true, and the inverse brings values back onto the image's own grid. What lies outside of the image or, on the way
    back, outside of the template is the image's lowest value or 0.

    Parameters
    ----------
    keys : str or sequence of str
        Of the image, then of what lies on its grid and goes with it, such as its label map.
    template : str
        An image file in the bundle's own folder.
    mode : str or sequence of str
        ``"bilinear"`` or ``"nearest"``, of each key.
    allow_missing_keys : bool

    Raises
    ------
    BundleFormatError
        When it is used and the template is missing, or a link to somewhere else.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        template: str,
        mode: str | tuple[str, ...] = "bilinear",
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.template = str(template)
        self.mode = ensure_tuple_rep(mode, len(self.keys))
        self.resample = SpatialResample(padding_mode="zeros")
        self._fixed: MetaTensor | None = None

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Images on the template's grid; the first key alone tells where they belong."""
        moved, fixed = dict(data), self._read()
        grid = torch.as_tensor(rigid(fixed, moved[self.first_key(moved)])) @ fixed.affine.to(torch.float64)
        for key, mode in self.key_iterator(moved, self.mode):
            image = moved[key]
            low = image.min() if mode != "nearest" else 0  # what 0 stands for in resampling is air in a CT
            resampled = self.resample(image - low, dst_affine=grid, spatial_size=fixed.shape[1:], mode=mode)
            moved[key] = resampled + low
        return moved

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Back onto the grid that there was."""
        back = dict(data)
        for key in self.key_iterator(back):
            back[key] = self.resample.inverse(back[key])
        return back

    def _read(self) -> MetaTensor:
        if self._fixed is None:
            path = Path(self.template)
            if not path.is_file() or path.resolve() != path.parent.resolve() / path.name:
                raise BundleFormatError(
                    "The image cannot be aligned.",
                    f"The template '{path.name}' of the model is missing.",
                    "Download or copy the model again, with all of its files.",
                )
            self._fixed = LoadImage(reader="NibabelReader", image_only=True, ensure_channel_first=True)(path)
        return self._fixed
